import type { MessageIF, MessageParams } from "./types.js";

/** A message that does not change. Subscribers of `events$` get plain copies. */
export class Message implements MessageIF {
  readonly message: string;
  readonly content?: any;
  readonly taskId?: string;
  readonly workerId?: string;
  readonly managerId?: string;
  readonly seq?: number;
  readonly error?: string;

  constructor(message: string, content?: any, params: MessageParams = {}) {
    this.message = message;
    if (content !== undefined) this.content = content;
    if (params.taskId !== undefined) this.taskId = params.taskId;
    if (params.workerId !== undefined) this.workerId = params.workerId;
    if (params.managerId !== undefined) this.managerId = params.managerId;
    if (params.seq !== undefined) this.seq = params.seq;
    if (params.error !== undefined) this.error = params.error;
  }

  /** A message about a task. */
  static forTask(message: string, taskId: string, content?: any, workerId?: string): Message {
    return new Message(message, content, withWorker({ taskId }, workerId));
  }

  /** A message about a worker. */
  static forWorker(message: string, workerId: string, content?: any): Message {
    return new Message(message, content, { workerId });
  }

  /** A message about a failure. It has no content. */
  static error(message: string, error: string, taskId?: string, workerId?: string): Message {
    return new Message(
      message,
      undefined,
      withWorker(taskId === undefined ? { error } : { error, taskId }, workerId),
    );
  }

  /** A message about nothing in particular. */
  static simple(message: string, content?: any): Message {
    return new Message(message, content);
  }

  /** A plain object with all seven fields. Those that were not given are undefined. */
  toObject(): MessageIF {
    const { message, content, taskId, workerId, managerId, seq, error } = this;
    return { message, content, taskId, workerId, managerId, seq, error } as MessageIF;
  }

  /** A copy with other fields. An empty `message` and undefined values keep the old ones. */
  with(updates: Partial<MessageIF>): Message {
    const given = Object.entries(updates).filter(([, value]) => value !== undefined);
    const { message, content, ...params } = { ...this, ...Object.fromEntries(given) };
    return new Message(message || this.message, content, params);
  }
}

function withWorker(params: MessageParams, workerId: string | undefined): MessageParams {
  return workerId === undefined ? params : { ...params, workerId };
}
