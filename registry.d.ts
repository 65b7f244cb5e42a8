export { ClaudeFlowMemory, ClaudeFlowMemory as InMemoryClaudeFlowMemory } from "./dist/registry/memory.js";
export { registerServer } from "./dist/registry/register-server.js";
export { RedisStore } from "./dist/registry/redis-store.js";
export { WorkerRegistry } from "./dist/registry/worker-registry.js";
export type { RegistryError, RegistryErrorCode } from "./dist/registry/errors.js";
export type { KeepAlive } from "./dist/registry/keep-alive.js";
export type { RedisStoreOptions } from "./dist/registry/redis-options.js";
export type { ServerRegistration } from "./dist/registry/register-server.js";
export type {
  AcquireOptions,
  ClaudeFlowMemoryOptions,
  FsyncPolicy,
  HealthStatus,
  KeepAliveEvents,
  KeepAliveOptions,
  MemoryEvent,
  MemoryStore,
  ReleaseOptions,
  Reservation,
  UnregisterReason,
  Worker,
  WorkerFilter,
  WorkerMetrics,
  WorkerRegistration,
  WorkerRegistryConfig,
  WorkerRegistryEvents,
  WorkerWithPriority,
} from "./dist/registry/types.js";
