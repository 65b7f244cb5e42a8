/** Why the server closes a connection; `protocol/close.rs` in crates/worker-core has the same. */
export interface CloseReason {
  readonly code: number;
  readonly reason: string;
}

export const SHUTTING_DOWN: CloseReason = { code: 1001, reason: "Server shutting down" };
export const REPLACED: CloseReason = { code: 4003, reason: "Replaced by new connection" };
export const HEARTBEAT_TIMEOUT: CloseReason = { code: 4003, reason: "Heartbeat timeout" };
