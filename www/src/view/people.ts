/** Who is there, and how each is reached. */

import type { PeerId } from 'polypeer'
import { MAX_FILE_BYTES } from '../files'
import type { Neighbour, Path } from '../neighbours'
import { persona } from '../persona'
import { find, make } from './dom'
import { drawFace } from './face'

const WORDS: Record<Path, string> = {
  connecting: 'Connecting',
  relayed: 'Relayed',
  direct: 'Direct',
}

export class People {
  readonly #list = find('people')
  readonly #empty = find('nobody')
  readonly #send: (peer: PeerId, file: File) => void
  readonly #rows = new Map<PeerId, Row>()

  /** Calls `send` with a file that was chosen for a peer. */
  constructor(send: (peer: PeerId, file: File) => void) {
    this.#send = send
  }

  show(all: readonly Neighbour[]): void {
    this.#empty.hidden = all.length > 0
    for (const [peer, row] of this.#rows) {
      if (all.some((one) => one.peer === peer)) continue
      row.item.remove()
      this.#rows.delete(peer)
    }
    for (const neighbour of all) {
      let row = this.#rows.get(neighbour.peer)
      if (row === undefined) {
        row = new Row(neighbour.peer, (file) => this.#send(neighbour.peer, file))
        this.#rows.set(neighbour.peer, row)
        this.#list.append(row.item)
      }
      row.show(neighbour)
    }
  }
}

class Row {
  readonly item: HTMLLIElement
  readonly #path = make('span', 'way')
  readonly #trip = make('span', 'quiet')
  readonly #pick = make('input', 'hidden-text')
  readonly #button = make('button', 'small', 'Send a file')

  constructor(peer: PeerId, send: (file: File) => void) {
    const who = persona(peer)
    const face = make('span', 'face')
    drawFace(face, who)
    const name = make('b', 'name', who.name)
    name.title = peer
    this.#pick.type = 'file'
    this.#pick.tabIndex = -1
    this.#pick.setAttribute('aria-hidden', 'true')
    this.#button.type = 'button'
    this.#button.setAttribute('aria-label', `Send ${who.name} a file`)
    this.#button.addEventListener('click', () => this.#pick.click())
    this.#pick.addEventListener('change', () => {
      const file = this.#pick.files?.[0]
      this.#pick.value = ''
      if (file !== undefined && file.size <= MAX_FILE_BYTES) send(file)
    })
    const about = make('div', '', name, make('p', 'how', this.#path, ' ', this.#trip))
    this.item = make('li', 'peer', face, about, this.#button, this.#pick)
    this.item.style.setProperty('--hue', String(who.hue))
    this.item.dataset.peer = peer
  }

  show({ path, ms }: Neighbour): void {
    this.item.dataset.path = path
    this.#path.textContent = WORDS[path]
    this.#path.title = path === 'relayed' ? 'Through the server' : ''
    this.#trip.textContent = ms === undefined ? '' : milliseconds(ms)
    this.#button.disabled = path !== 'direct'
    this.#button.title = path === 'direct' ? '' : 'Files go only on a direct connection'
  }
}

/** A time for a person. */
export function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}
