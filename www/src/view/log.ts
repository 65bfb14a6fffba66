/** What was said, the newest at the end. */

import type { PeerId } from 'polypeer'
import { persona } from '../persona'
import type { Line } from '../talk'
import { find, make } from './dom'
import { drawFace } from './face'

/** Lines that the page keeps; the oldest go first. */
const MAX_LINES = 500
/** Lines of one sender within this time stand together, in milliseconds. */
const TOGETHER_MS = 120_000
/** So close to the end, in pixels, new lines are followed. */
const NEAR_END = 80

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

export class Log {
  readonly #you: PeerId
  readonly #list = find<HTMLOListElement>('log')
  readonly #scroll = find('scroll')
  readonly #newer = find<HTMLButtonElement>('newer')
  #last: Line | undefined
  #unread = 0
  /** Whether the end is in sight. */
  #following = true

  constructor(you: PeerId) {
    this.#you = you
    this.#newer.addEventListener('click', () => this.#toEnd())
    this.#scroll.addEventListener('scroll', () => {
      this.#following = this.#nearEnd()
      if (this.#following) this.#newer.hidden = true
    })
    // A keyboard that opens, or a trouble above, must not hide the end.
    new ResizeObserver(() => {
      if (this.#following) this.#toEnd()
    }).observe(this.#scroll)
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#read()
    })
  }

  /** Adds a line; one of our own can be marked as lost with what is returned. */
  add(line: Line): { lost(why: string): void } {
    const own = line.from === this.#you
    const item = lineItem(line, own, this.#continues(line))
    this.#last = line
    this.#show(item, own)
    return {
      lost: (why) => {
        item.classList.add('lost')
        item.append(make('p', 'quiet', why))
      },
    }
  }

  /** Adds something that is no line; `own` says whether it is of this page. */
  insert(item: HTMLLIElement, own: boolean): void {
    this.#last = undefined
    this.#show(item, own)
  }

  #show(item: HTMLLIElement, own: boolean): void {
    const follow = own || this.#following
    this.#append(item)
    if (follow) this.#toEnd()
    else this.#newer.hidden = false
    if (document.hidden) document.title = `(${++this.#unread}) Polypeer chat`
  }

  /** Adds a remark of the page itself. */
  remark(text: string): void {
    this.#last = undefined
    this.#append(make('li', 'remark', text))
    if (this.#following) this.#toEnd()
  }

  #append(item: HTMLLIElement): void {
    find('empty').hidden = true
    this.#list.append(item)
    while (this.#list.childElementCount > MAX_LINES) this.#list.firstElementChild?.remove()
  }

  #continues(line: Line): boolean {
    return this.#last?.from === line.from && line.at - this.#last.at < TOGETHER_MS
  }

  #nearEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll
    return scrollHeight - scrollTop - clientHeight < NEAR_END
  }

  #toEnd(): void {
    this.#following = true
    this.#scroll.scrollTop = this.#scroll.scrollHeight
    this.#newer.hidden = true
  }

  #read(): void {
    this.#unread = 0
    document.title = 'Polypeer chat'
  }
}

function lineItem(line: Line, own: boolean, continues: boolean): HTMLLIElement {
  const who = persona(line.from)
  const at = new Date(line.at)
  const time = make('time', '', clock.format(at))
  time.dateTime = at.toISOString()
  time.title = calendar.format(at)
  const tail = make('code', '', who.tail)
  tail.title = line.from
  // Said for those who hear the page, also where the eye sees that the sender is the same.
  const head = make('p', 'head', make('b', 'name', own ? 'You' : who.name), ' ', tail, ' ', time)
  const text = make('p', 'text', line.text)
  text.dir = 'auto'
  const face = make('span', 'face')
  drawFace(face, who)
  const item = make('li', 'line', face, make('div', 'said', head, text))
  item.style.setProperty('--hue', String(who.hue))
  item.classList.toggle('own', own)
  item.classList.toggle('continues', continues)
  return item
}
