/*
 * Types that third-party packages take for granted, or whose own do not compile.
 */

// @hono/node-server has them from the browser's types.
type BodyInit = NonNullable<RequestInit["body"]>;
type RequestInfo = Parameters<typeof fetch>[0];

// @types/koa does not fit the content-disposition that comes with koa.
declare module "koa" {
  class Koa {
    silent: boolean;
    use(middleware: (context: any) => Promise<void>): this;
    callback(): import("node:http").RequestListener;
  }
  export = Koa;
}
