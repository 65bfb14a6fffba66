/** The small picture of a peer. */

import { type Persona, SIDE } from '../persona'

const SVG = 'http://www.w3.org/2000/svg'

/** Where the cells stand: a border of one and a half around them. */
export const FACE_BOX = { start: -1.5, size: SIDE + 3 }

/** The cells of the picture, each one wide, as the path of an SVG. */
export function facePath(who: Persona): string {
  const filled = who.cells.flatMap((on, cell) =>
    on ? [`M${cell % SIDE} ${Math.floor(cell / SIDE)}h1v1h-1z`] : [],
  )
  return filled.join('')
}

/** Draws the face of `who` into `place`, which takes on its colour. */
export function drawFace(place: HTMLElement, who: Persona): void {
  place.style.setProperty('--hue', String(who.hue))
  const path = document.createElementNS(SVG, 'path')
  path.setAttribute('d', facePath(who))
  const picture = document.createElementNS(SVG, 'svg')
  const { start, size } = FACE_BOX
  picture.setAttribute('viewBox', `${start} ${start} ${size} ${size}`)
  picture.setAttribute('aria-hidden', 'true')
  picture.append(path)
  place.replaceChildren(picture)
}
