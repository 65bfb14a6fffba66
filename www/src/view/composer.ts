/** Where one writes. */

import { find } from './dom'

const HINT = 'Enter sends, Shift and Enter begin a new line.'
const ALONE = 'Nobody can hear you yet: your text waits here.'

export class Composer {
  readonly #text = find<HTMLTextAreaElement>('text')
  readonly #send = find<HTMLButtonElement>('send')
  readonly #hint = find('hint')
  #connected = false

  /** Calls `say` with each line that is sent. */
  constructor(say: (text: string) => void) {
    const submit = (): void => {
      const text = tidy(this.#text.value)
      if (text === '' || !this.#connected) return
      this.#text.value = ''
      this.#refresh()
      say(text)
    }
    find('composer').addEventListener('submit', (event) => {
      event.preventDefault()
      submit()
    })
    this.#text.addEventListener('input', () => this.#refresh())
    this.#text.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
      event.preventDefault()
      submit()
    })
  }

  setConnected(connected: boolean): void {
    this.#connected = connected
    this.#hint.textContent = connected ? HINT : ALONE
    this.#hint.classList.toggle('offline', !connected)
    this.#refresh()
  }

  /** Puts a line back that could not be sent, unless there is a new one already. */
  restore(text: string): void {
    if (this.#text.value === '') this.#text.value = text
    this.#refresh()
  }

  focus(): void {
    // On a touch screen that would open the keyboard over the page.
    if (matchMedia('(pointer: fine)').matches && document.activeElement === document.body) this.#text.focus()
  }

  #refresh(): void {
    this.#send.disabled = !this.#connected || tidy(this.#text.value) === ''
  }
}

/** Without control characters, which take six bytes each on the way, but for line breaks. */
function tidy(text: string): string {
  return text.replace(/(?!\n)[\p{Cc}\p{Cs}]/gu, '').trim()
}
