/* A user's program in a project of either kind; the file's format follows from the settings. */
import { WorkerServer, WorkerStatus, type WorkerInfo, type WorkerServerOptions } from "worker-server-native";
import { WorkerServer as Dispatcher, type WorkerMessageEvent } from "worker-server-native/v2";

const options: WorkerServerOptions = { port: 19100, authToken: "secret-token" };
const server = new WorkerServer(options);

export const unsubscribe: () => void = server.onWorkerConnected((worker: WorkerInfo) => {
  if (worker.status === WorkerStatus.Available)
    server.send(worker.id, { type: "work_request", requestId: "1" });
});

export async function run(): Promise<number> {
  await server.start();
  const worker = server.getAvailableWorker("sonnet", "inference");
  if (worker) server.trackRequest(worker.id, "req-123");
  await server.stop();
  return server.port;
}

interface Done {
  type: "done";
  requestId: string;
  output: string;
}

const dispatcher = new Dispatcher(options);
export const ended: () => void = dispatcher.onWorkerMessage<Done>(
  "done",
  (event: WorkerMessageEvent<Done>) => {
    if (event.message.output !== "") event.complete();
  },
);
export const sent: string | undefined = dispatcher.dispatch({
  model: "sonnet",
  message: { type: "work_request", requestId: "req-123" },
})?.worker.name;
