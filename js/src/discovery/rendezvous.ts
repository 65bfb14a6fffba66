/** Rendezvous of a node: the core's, as the application has it. */

import type { Core as FullCore } from '../../generated/core.js'
import { type AbortOptions, abortable, type Deferred, deferred } from '../abort.js'
import { type Core, now, Records } from '../core.js'
import { InvalidArgumentError, NodeClosedError, type PolypeerError } from '../errors.js'
import { errorOf } from '../failures.js'
import type { Services } from '../serving/types.js'
import {
  type Discovered,
  type Registration,
  type Registrations,
  type Rendezvous,
  RendezvousError,
  type RendezvousPointOptions,
  type RendezvousStats,
  type SearchOptions,
} from './types.js'

const PROTOCOL = '/rendezvous/1.0.0'
const LIMIT = 100

/** What rendezvous needs of a node. */
export interface MeetingEngine {
  readonly core: Core<FullCore>
  closed(): boolean
  /** Throws if the node is closed. */
  check(): void
  touch(): void
  /** Somebody was found. */
  found(who: Discovered): void
}

/** What came of a request: a TTL, or who was found. */
type Answer = number | Registrations | undefined

/** See {@link Rendezvous}. */
export class RendezvousImpl implements Rendezvous {
  readonly #engine: MeetingEngine
  readonly #services: Services
  readonly #waiting = new Map<number, Deferred<Answer>>()

  constructor(engine: MeetingEngine, services: Services) {
    this.#engine = engine
    this.#services = services
  }

  async register(
    point: string,
    namespace: string,
    { signal, ttl = -1 }: AbortOptions & { readonly ttl?: number } = {},
  ): Promise<number> {
    if (ttl !== -1 && !(ttl > 0)) throw new InvalidArgumentError(`not a time to live: ${ttl}`)
    const begin = (raw: FullCore) => raw.rendezvous_register(now(), point, namespace, ttl)
    return (await this.#ask(point, begin, signal)) as number
  }

  async unregister(point: string, namespace: string, { signal }: AbortOptions = {}): Promise<void> {
    await this.#ask(point, (raw) => raw.rendezvous_unregister(now(), point, namespace), signal)
  }

  async discover(
    point: string,
    { namespace = '', limit = LIMIT, cookie = new Uint8Array(), signal }: SearchOptions = {},
  ): Promise<Registrations> {
    if (!(Number.isSafeInteger(limit) && limit > 0)) throw new InvalidArgumentError(`not a limit: ${limit}`)
    const { core } = this.#engine
    const begin = (raw: FullCore): number => {
      core.put(cookie)
      return raw.rendezvous_discover(now(), point, namespace, limit, cookie.length)
    }
    const found = (await this.#ask(point, begin, signal)) as Registrations
    for (const { peer, addresses, namespace, ttl } of found.registrations) {
      this.#engine.found({ peer, addresses, source: 'rendezvous', namespace, ttl })
    }
    return found
  }

  get registered(): { point: string; namespace: string }[] {
    if (this.#engine.closed()) return []
    const { core } = this.#engine
    const body = new Records(core.output(core.raw.rendezvous_registered()).slice())
    const list = []
    while (!body.done) list.push({ point: body.text(), namespace: body.text() })
    return list
  }

  serve(options: RendezvousPointOptions = {}): void {
    this.#engine.check()
    this.#services.rendezvousPoint(options)
    this.#engine.touch()
  }

  get stats(): RendezvousStats {
    this.#engine.check()
    return this.#services.rendezvousStats()
  }

  async #ask(
    point: string,
    begin: (raw: FullCore) => number,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    this.#engine.check()
    signal?.throwIfAborted()
    const { core } = this.#engine
    const id = begin(core.raw)
    if (id < 0) throw failureOf(core.failure(id), '', point)
    const answer = deferred<Answer>()
    this.#waiting.set(id, answer)
    this.#engine.touch()
    return abortable(answer.promise, signal, () => {
      this.#waiting.delete(id)
      if (this.#engine.closed()) return
      core.raw.cancel_rendezvous(now(), id)
      this.#engine.touch()
    })
  }

  /** What came of a request, as the core tells it. */
  onAnswer(body: Records): void {
    const id = body.number()
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    switch (body.byte()) {
      case 0:
        waiting?.resolve(body.number())
        break
      case 1:
        waiting?.resolve(undefined)
        break
      case 2:
        waiting?.resolve(registrationsOf(body))
        break
      default:
        waiting?.reject(readError(body))
    }
  }

  /** Nobody answers any more. */
  close(): void {
    for (const waiting of this.#waiting.values()) waiting.reject(new NodeClosedError())
    this.#waiting.clear()
  }
}

/** An error as the core writes it: the status of a refusal, then the failure. */
export function readError(body: Records): PolypeerError {
  const status = body.text()
  return failureOf(body.failure(), status, PROTOCOL)
}

function failureOf(failure: ReturnType<Records['failure']>, status: string, subject: string): PolypeerError {
  if (failure.cause !== 'protocol') return errorOf(failure, subject)
  return new RendezvousError(failure.message, status === '' ? undefined : status)
}

function registrationsOf(body: Records): Registrations {
  const [cookie, refused] = [body.range().slice(), body.number()]
  const registrations: Registration[] = []
  while (!body.done) {
    const [namespace, peer, addresses] = [body.text(), body.text(), body.lines()]
    registrations.push({ namespace, peer, addresses, ttl: body.number(), record: body.range().slice() })
  }
  return { registrations, cookie, refused }
}
