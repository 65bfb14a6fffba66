/** An `EventTarget` whose events are known by name and type. */

/** Names of events and what their `detail` is. */
export type EventMap = Record<string, unknown>

/** A listener of one event. */
export type Listener<T> = ((event: CustomEvent<T>) => void) | { handleEvent(event: CustomEvent<T>): void }

/** `EventTarget`, with the events of `M` typed. */
export interface TypedEventTarget<M> extends EventTarget {
  /** Calls `listener` at each event named `type`. `options.signal` removes it. */
  addEventListener<K extends keyof M & string>(
    type: K,
    listener: Listener<M[K]> | null,
    options?: boolean | AddEventListenerOptions,
  ): void
  /** Undoes {@link TypedEventTarget.addEventListener}. */
  removeEventListener<K extends keyof M & string>(
    type: K,
    listener: Listener<M[K]> | null,
    options?: boolean | EventListenerOptions,
  ): void
}

/** Sends an event with `detail` to whoever listens on `target`. */
export function emit(target: EventTarget, type: string, detail: unknown): void {
  target.dispatchEvent(new CustomEvent(type, { detail }))
}
