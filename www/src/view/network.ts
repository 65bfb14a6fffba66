/** The network as this page sees it: itself, the server, the others, and what moves between them. */

import type { PeerId } from 'polypeer'
import type { Neighbour } from '../neighbours'
import { type Persona, persona } from '../persona'
import { find } from './dom'
import { FACE_BOX, facePath } from './face'
import { milliseconds } from './people'

const SVG = 'http://www.w3.org/2000/svg'
/** Where this page and the server stand in the drawing, of its viewBox. */
const YOU = { x: 160, y: 172 }
const SERVER = { x: 160, y: 34 }
/** Where the others stand: in two columns beside this page, the middle ones further out. */
const COLUMN = { x: 100, bulge: 24, top: 62, bottom: 176 }
const FACE_RADIUS = 17
/** How long something is seen moving, in milliseconds. */
const MOVE_MS = 700
/** Between two things that are seen moving to a peer, or from it, in milliseconds. */
const MOVE_PAUSE_MS = 150
/** Things that are seen moving at once. */
const MAX_MOVING = 24

interface Point {
  readonly x: number
  readonly y: number
}

export class Network {
  readonly #lines = find<SVGGElement>('net-lines')
  readonly #faces = find<SVGGElement>('net-faces')
  readonly #moving = find<SVGGElement>('net-moving')
  readonly #words = find<SVGElement>('net-title')
  readonly #you: Persona
  readonly #moved = new Map<PeerId, number>()
  #neighbours: readonly Neighbour[] = []
  #server = false

  constructor(you: PeerId) {
    this.#you = persona(you)
    this.#draw()
  }

  /** Whether there is a connection to the server. */
  server(connected: boolean): void {
    if (this.#server === connected) return
    this.#server = connected
    this.#draw()
  }

  show(all: readonly Neighbour[]): void {
    this.#neighbours = all
    for (const peer of this.#moved.keys()) if (!all.some((one) => one.peer === peer)) this.#moved.delete(peer)
    this.#draw()
  }

  /** Something goes to a peer, or comes from it. */
  moves(peer: PeerId, way: 'there' | 'back'): void {
    const at = this.#neighbours.findIndex((one) => one.peer === peer)
    const neighbour = this.#neighbours[at]
    if (neighbour === undefined || this.#moving.childElementCount >= MAX_MOVING) return
    const now = performance.now()
    if (now - (this.#moved.get(peer) ?? Number.NEGATIVE_INFINITY) < MOVE_PAUSE_MS) return
    this.#moved.set(peer, now)
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return
    const dot = element('circle', { r: 4, class: `dot-${neighbour.path}` })
    const points = this.#way(neighbour, at)
    dot.append(
      element('animateMotion', {
        dur: `${MOVE_MS}ms`,
        path: pathOf(way === 'there' ? points : points.toReversed()),
        begin: 'indefinite',
        fill: 'freeze',
      }),
    )
    this.#moving.append(dot)
    ;(dot.firstElementChild as SVGAnimationElement).beginElement()
    setTimeout(() => dot.remove(), MOVE_MS)
  }

  #draw(): void {
    const lines: SVGElement[] = [
      element('path', { d: pathOf([YOU, SERVER]), class: `net-line server ${this.#server ? 'up' : 'down'}` }),
    ]
    const faces: SVGElement[] = []
    this.#neighbours.forEach((neighbour, at) => {
      const points = this.#way(neighbour, at)
      lines.push(element('path', { d: pathOf(points), class: `net-line ${neighbour.path}` }))
      const place = this.#place(at)
      faces.push(face(persona(neighbour.peer), place))
      if (neighbour.ms === undefined) return
      const [from, to] = points.slice(-2) as [Point, Point]
      const label = element('text', { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 - 4, class: 'net-time' })
      label.textContent = milliseconds(neighbour.ms)
      faces.push(label)
    })
    faces.push(face(this.#you, YOU))
    this.#lines.replaceChildren(...lines)
    this.#faces.replaceChildren(...faces)
    const direct = this.#neighbours.filter(({ path }) => path === 'direct').length
    const others = this.#neighbours.length
    this.#words.textContent = `${others} others, ${direct} of them connected directly`
  }

  /** The way to a neighbour: straight, or over the server. */
  #way({ path }: Neighbour, at: number): readonly Point[] {
    const place = this.#place(at)
    return path === 'direct' ? [YOU, place] : [YOU, SERVER, place]
  }

  #place(at: number): Point {
    // Left and right in turns.
    const right = at % 2 === 1
    const column = right ? Math.floor(this.#neighbours.length / 2) : Math.ceil(this.#neighbours.length / 2)
    const share = (Math.floor(at / 2) + 0.5) / column
    const out = COLUMN.x + COLUMN.bulge * Math.sin(Math.PI * share)
    return {
      x: YOU.x + (right ? out : -out),
      y: COLUMN.top + (COLUMN.bottom - COLUMN.top) * share,
    }
  }
}

function pathOf(points: readonly Point[]): string {
  return points.map(({ x, y }, at) => `${at === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`).join('')
}

function face(who: Persona, { x, y }: Point): SVGElement {
  const size = (FACE_RADIUS * 2) / FACE_BOX.size
  const group = element('g', { class: 'net-face', transform: `translate(${x} ${y})` })
  group.style.setProperty('--hue', String(who.hue))
  const title = element('title', {})
  title.textContent = who.name
  const offset = -FACE_RADIUS - FACE_BOX.start * size
  const picture = element('path', {
    d: facePath(who),
    transform: `translate(${offset} ${offset}) scale(${size})`,
  })
  group.append(title, element('circle', { r: FACE_RADIUS + 3 }), picture)
  return group
}

function element(name: string, attributes: Record<string, string | number>): SVGElement {
  const made = document.createElementNS(SVG, name) as SVGElement
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, String(value))
  return made
}
