/** The card that says who this page is. */

import type { PeerId } from 'polypeer'
import { persona } from '../persona'
import { find, make } from './dom'
import { drawFace } from './face'

/** How long “Copied” stands, in milliseconds. */
const COPIED_MS = 2_000

/** Shows who we are; `kept` says whether a reload keeps it. */
export function showYou(peer: PeerId, kept: boolean): void {
  const who = persona(peer)
  drawFace(find('you-face'), who)
  find('you-name').textContent = who.name
  find('you-kept').textContent = kept ? 'The key is kept in this browser' : 'A new key for this visit'
  const id = find('you-id')
  id.replaceChildren(make('span', 'head', peer.slice(0, 8)), `…${who.tail}`)
  id.title = peer
  id.dataset.peer = peer

  const button = find<HTMLButtonElement>('copy')
  const said = find('copied')
  button.disabled = false
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(peer)
    } catch {
      // Not allowed, or not a secure page: the person copies what is marked.
      id.textContent = peer
      getSelection()?.selectAllChildren(id)
      said.textContent = 'Your PeerId is marked: copy it now'
      return
    }
    button.textContent = 'Copied'
    said.textContent = 'Your PeerId was copied'
    setTimeout(() => {
      button.textContent = 'Copy'
      said.textContent = ''
    }, COPIED_MS)
  })
}
