/** How things stand with the server: the pill in the bar, the card, and what is wrong. */

import { shortId } from '../persona'
import { type Advice, adviceOn } from '../remedy'
import type { Status } from '../room'
import { find } from './dom'
import { milliseconds } from './people'

/** Round trips in the curve. */
const MAX_TRIPS = 30
/** The height of the curve, of its viewBox. */
const CURVE_HEIGHT = 24

export class StatusView {
  readonly #pill = find('status')
  readonly #trouble = find('trouble')
  readonly #when = find('again-when')
  readonly #now = find<HTMLButtonElement>('again-now')
  #trips: number[] = []
  #countdown: ReturnType<typeof setInterval> | undefined

  /** Calls `hurry` when the person does not want to wait. */
  constructor(hurry: () => void) {
    this.#now.addEventListener('click', hurry)
  }

  show(status: Status): void {
    clearInterval(this.#countdown)
    this.#when.textContent = status.kind === 'connecting' ? 'Trying now' : ''
    this.#now.disabled = status.kind === 'connecting'
    switch (status.kind) {
      case 'connecting':
        // A trouble stays in sight until it is over.
        this.#state('connecting', 'Connecting')
        this.#forget()
        break
      case 'connected':
        this.#state('connected', 'Connected')
        this.#trouble.hidden = true
        find('server-id').textContent = shortId(status.server)
        find('server-id').title = status.server
        find('server-address').textContent = status.address.replace(/\/p2p\/.*/, '')
        find('server-address').title = status.address
        break
      case 'waiting':
        this.#state('waiting', 'Not connected')
        this.showTrouble(adviceOn(status.error))
        if (status.retryAt !== undefined) this.#countTo(status.retryAt)
    }
  }

  showTrouble({ title, remedy, detail }: Advice): void {
    // Said aloud once, not at each attempt.
    const known = !this.#trouble.hidden && find('trouble-title').textContent === title
    find('trouble-detail').textContent = detail
    if (known) return
    find('trouble-title').textContent = title
    find('trouble-remedy').textContent = remedy
    this.#trouble.hidden = false
  }

  showRoundTrip(ms: number): void {
    find('trip').textContent = milliseconds(ms)
    this.#trips = [...this.#trips, ms].slice(-MAX_TRIPS)
    this.#drawTrips()
  }

  showMembers(count: number): void {
    find('members').textContent = count === 1 ? 'Only you' : `${count} are here`
  }

  showAgent(agent: string): void {
    find('server-agent').textContent = agent
  }

  #state(state: Status['kind'], text: string): void {
    this.#pill.dataset.state = state
    // Announced when it changes, so it is not set when it does not.
    const label = find('status-text')
    if (label.textContent !== text) label.textContent = text
  }

  #forget(): void {
    for (const id of ['trip', 'server-id', 'server-address', 'server-agent']) find(id).textContent = '–'
    find('members').textContent = ''
    this.#trips = []
    this.#drawTrips()
  }

  #countTo(retryAt: number): void {
    const tick = (): void => {
      const seconds = Math.ceil((retryAt - Date.now()) / 1000)
      this.#when.textContent = seconds > 0 ? `Trying again in ${seconds} s` : 'Trying again'
    }
    tick()
    this.#countdown = setInterval(tick, 250)
  }

  #drawTrips(): void {
    const top = Math.max(1, ...this.#trips) * 1.1
    const points = this.#trips.map((ms, at) => {
      const x = (at / (MAX_TRIPS - 1)) * 100
      return `${x.toFixed(1)},${(CURVE_HEIGHT - (ms / top) * CURVE_HEIGHT).toFixed(1)}`
    })
    find<SVGElement>('trips').firstElementChild?.setAttribute('points', points.join(' '))
  }
}
