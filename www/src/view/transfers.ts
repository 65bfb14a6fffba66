/** Files in the log: what is offered, how far it is, what came of it. */

import type { PeerId } from 'polypeer'
import type { Offer, Progress } from '../files'
import { persona } from '../persona'
import { make } from './dom'
import { drawFace } from './face'

/** Files that came in and can still be saved; the oldest are let go. */
const MAX_SAVED = 10

const saved: { url: string; link: HTMLAnchorElement }[] = []

/** A file that another offers: asks the person, then shows what becomes of it. */
export function incoming(
  offer: Offer,
  stop: AbortController,
): Transfer & { readonly answer: Promise<boolean> } {
  const transfer = new Transfer(offer.from, `${persona(offer.from).name} sends you`, offer, stop)
  const take = make('button', 'small', 'Take it')
  const decline = make('button', 'small plain', 'Decline')
  for (const button of [take, decline]) button.type = 'button'
  transfer.buttons(take, decline)
  const answer = new Promise<boolean>((resolve) => {
    take.addEventListener('click', () => resolve(true))
    decline.addEventListener('click', () => resolve(false))
  })
  return Object.assign(transfer, { answer })
}

export class Transfer {
  readonly item: HTMLLIElement
  readonly #name: string
  readonly #size: number
  readonly #words = make('p', 'quiet')
  readonly #bar = make('progress', '')
  readonly #actions = make('div', 'buttons')
  readonly #stop: AbortController
  #started = 0

  constructor(peer: PeerId, title: string, file: { name: string; size: number }, stop: AbortController) {
    this.#name = file.name
    this.#size = file.size
    this.#stop = stop
    this.#bar.max = Math.max(1, file.size)
    this.#bar.value = 0
    this.#bar.setAttribute('aria-label', file.name)
    const who = persona(peer)
    const face = make('span', 'face')
    drawFace(face, who)
    const name = make('b', 'file', file.name)
    name.title = file.name
    this.#words.textContent = bytesOf(file.size)
    this.item = make(
      'li',
      'line transfer',
      face,
      make(
        'div',
        'said',
        make('p', 'head', title),
        make('div', 'text', name, this.#bar, this.#words, this.#actions),
      ),
    )
    this.item.style.setProperty('--hue', String(who.hue))
    this.item.dataset.state = 'offered'
  }

  buttons(...buttons: HTMLElement[]): void {
    this.#actions.replaceChildren(...buttons)
  }

  show(progress: Progress): void {
    this.item.dataset.state = progress.kind
    switch (progress.kind) {
      case 'waiting':
        this.#words.textContent = `${bytesOf(this.#size)}, waiting for an answer`
        this.#offerStop()
        return
      case 'moving':
        if (this.#started === 0) {
          this.#started = performance.now()
          this.#offerStop()
        }
        this.#bar.value = progress.bytes
        this.#words.textContent = this.#speed(progress.bytes)
        return
      case 'done':
        this.#bar.value = this.#bar.max
        this.#words.textContent = `${bytesOf(this.#size)}${progress.file === undefined ? ', it has arrived' : ''}`
        this.buttons(...(progress.file === undefined ? [] : [this.#save(progress.file)]))
        return
      case 'declined':
        this.#words.textContent = 'Declined'
        this.buttons()
        return
      case 'failed':
        this.#words.textContent = this.#stop.signal.aborted
          ? 'Stopped'
          : `It did not arrive: ${reason(progress.error)}`
        this.buttons()
    }
  }

  #offerStop(): void {
    const stop = make('button', 'small plain', 'Stop')
    stop.type = 'button'
    stop.addEventListener('click', () => this.#stop.abort(new Error('stopped')))
    this.buttons(stop)
  }

  #speed(bytes: number): string {
    const seconds = (performance.now() - this.#started) / 1000
    const rate = seconds > 0.5 ? `, ${bytesOf(bytes / seconds)} a second` : ''
    return `${bytesOf(bytes)} of ${bytesOf(this.#size)}${rate}`
  }

  #save(file: Blob): HTMLAnchorElement {
    const link = make('a', 'save', 'Save')
    link.href = URL.createObjectURL(file)
    link.download = this.#name
    saved.push({ url: link.href, link })
    const oldest = saved.length > MAX_SAVED ? saved.shift() : undefined
    if (oldest !== undefined) {
      URL.revokeObjectURL(oldest.url)
      oldest.link.remove()
    }
    return link
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function bytesOf(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB']
  let at = 0
  let value = bytes
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024
    at++
  }
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`
}
