/**
 * Returns the object it is given, so that a class that extends this one puts its private fields on that object: invisible
 * to everybody, and unlike an entry of a WeakMap free of charge.
 */
// oxlint-disable-next-line typescript/no-extraneous-class -- it is there for what its constructor returns
export class Given {
  constructor(object: object) {
    return object;
  }
}
