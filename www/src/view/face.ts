/** The small picture of a peer. */

import { type Persona, SIDE } from '../persona'

const SVG = 'http://www.w3.org/2000/svg'

/** Draws the face of `who` into `place`, which takes on its colour. */
export function drawFace(place: HTMLElement, who: Persona): void {
  place.style.setProperty('--hue', String(who.hue))
  const path = document.createElementNS(SVG, 'path')
  const filled = who.cells.flatMap((on, cell) =>
    on ? [`M${cell % SIDE} ${Math.floor(cell / SIDE)}h1v1h-1z`] : [],
  )
  path.setAttribute('d', filled.join(''))
  const picture = document.createElementNS(SVG, 'svg')
  picture.setAttribute('viewBox', `-1.5 -1.5 ${SIDE + 3} ${SIDE + 3}`)
  picture.setAttribute('aria-hidden', 'true')
  picture.append(path)
  place.replaceChildren(picture)
}
