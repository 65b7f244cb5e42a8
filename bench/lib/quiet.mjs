/** Whether others were using the machine when the run began. */
export function isBusy({ loadBefore, cores }) {
  return loadBefore > cores / 4;
}
