/** A face for a PeerId: a name that can be said, a colour, a small picture. The same everywhere. */

import type { PeerId } from 'polypeer'

export interface Persona {
  /** Two words; a few thousand of them, so no proof of who it is: see {@link Persona.tail}. */
  readonly name: string
  /** The end of the PeerId. */
  readonly tail: string
  /** An angle on the colour wheel. */
  readonly hue: number
  /** The cells of the picture, row by row, {@link SIDE} in each. */
  readonly cells: readonly boolean[]
}

/** Cells on each side of the picture. */
export const SIDE = 5

const manners =
  'Amber Bold Brave Breezy Bright Calm Candid Clever Coral Cosmic Crisp Dapper Daring Dusky Eager Early Fabled Fair Fleet Gentle Glad Golden Grand Happy Hazel Honest Humble Indigo Ivory Jade Jolly Keen Kind Lively Loyal Lucid Lucky Lunar Mellow Merry Mighty Misty Nimble Noble Olive Pearl Placid Plucky Polar Proud Quick Quiet Rapid Ruby Silver Sly Solar Sunny Swift Tidy Velvet Vivid Warm Witty'.split(
    ' ',
  )
const beings =
  'Badger Bear Beaver Bison Bobcat Condor Crane Curlew Deer Dolphin Dove Eagle Egret Elk Falcon Ferret Finch Fox Gecko Gull Hare Hawk Heron Ibex Ibis Jackal Jaguar Jay Kestrel Kiwi Koala Lark Lemur Linnet Lynx Magpie Marten Mole Moose Newt Ocelot Orca Osprey Otter Owl Panda Parrot Pelican Petrel Pika Plover Puffin Quail Raven Robin Seal Shrew Sparrow Stoat Swan Tapir Tern Wolf Wren'.split(
    ' ',
  )

export function persona(peer: PeerId): Persona {
  const bits = hashes(peer)
  const number = (): number => bits.next().value
  const pick = (words: readonly string[]): string => words[number() % words.length] ?? ''
  const name = `${pick(manners)} ${pick(beings)}`
  const hue = number() % 360
  // The left half and the middle decide; the right half mirrors them.
  const half = Math.ceil(SIDE / 2)
  const pattern = number()
  const cells = Array.from({ length: SIDE * SIDE }, (_, cell) => {
    const column = cell % SIDE
    const bit = Math.floor(cell / SIDE) * half + Math.min(column, SIDE - 1 - column)
    return ((pattern >>> bit) & 1) === 1
  })
  return { name, tail: peer.slice(-6), hue, cells }
}

/** Numbers of 32 bits that follow from `text` alone (FNV-1a, mixed as MurmurHash3 does). */
function* hashes(text: string): Generator<number, never> {
  let seed = 0x811c9dc5
  for (let at = 0; at < text.length; at++) seed = Math.imul(seed ^ text.charCodeAt(at), 0x01000193)
  for (;;) {
    seed = (seed + 0x9e3779b9) | 0
    let mixed = seed
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    yield (mixed ^ (mixed >>> 16)) >>> 0
  }
}

/** The beginning and the end of a PeerId: enough to tell two apart. */
export function shortId(peer: PeerId): string {
  return `${peer.slice(0, 8)}…${peer.slice(-6)}`
}
