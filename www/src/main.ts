/** The demo: a node in this page, others that it finds through a server, and what one sees of them. */

import { createNode, type FullNodeOptions, KeyError, type PeerId, type PeerNode } from 'polypeer'
import { receiveFiles, sendFile } from './files'
import { keyStore } from './identity'
import { type Neighbour, Neighbours } from './neighbours'
import { persona } from './persona'
import { Room } from './room'
import { chooseServer, chosenServer } from './server'
import { Talk } from './talk'
import { Composer } from './view/composer'
import { find } from './view/dom'
import { Log } from './view/log'
import { Network } from './view/network'
import { People } from './view/people'
import { StatusView } from './view/status'
import { incoming, Transfer } from './view/transfers'
import { showYou } from './view/you'

const HAS_WEBRTC = typeof RTCPeerConnection !== 'undefined'
const IS_LOCAL = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname)

/**
 * Others reach this page through the server, and then directly where the browser has
 * WebRTC. Pages of one machine need nobody to tell them where they are.
 */
const OPTIONS: FullNodeOptions = {
  listen: HAS_WEBRTC ? ['/p2p-circuit', '/webrtc'] : ['/p2p-circuit'],
  // A line is little: a relay's allowance is enough for it.
  pubsub: { limited: true },
  ...(HAS_WEBRTC && IS_LOCAL ? { webrtc: { iceServers: [] } } : {}),
}

const view = new StatusView(() => room?.hurry())
let room: Room | undefined

try {
  start(await makeNode())
} catch (error) {
  view.show({ kind: 'waiting', error, retryAt: undefined })
  view.showTrouble({
    title: 'This page cannot start',
    remedy: 'Reload it. If that does not help, use a current browser with WebAssembly.',
    detail: String(error),
  })
}

/** A node with the identity of this page, or a passing one where none can be kept. */
async function makeNode(): Promise<{ node: PeerNode; kept: boolean }> {
  const store = await keyStore()
  if (store === undefined) return { node: await createNode(OPTIONS), kept: false }
  try {
    return { node: await createNode({ ...OPTIONS, keyStore: store }), kept: true }
  } catch (error) {
    if (!(error instanceof KeyError)) throw error
    return { node: await createNode(OPTIONS), kept: false }
  }
}

function start({ node, kept }: { node: PeerNode; kept: boolean }): void {
  showYou(node.peerId, kept)
  const log = new Log(node.peerId)
  const network = new Network(node.peerId)
  const people = new People((peer, file) => void send(peer, file))
  const composer = new Composer((text) => speak(text))
  const paths = new Map<PeerId, Neighbour['path']>()
  const neighbours = new Neighbours(node, (all) => {
    people.show(all)
    network.show(all)
    composer.setConnected(all.some(({ path }) => path !== 'connecting'))
    tellOf(all)
  })
  /** How the last turn in the fortunes was: connected once, then lost. */
  let stay: 'none' | 'present' | 'lost' = 'none'
  /** The server's address, while there is a connection. */
  let relay: string | undefined

  const entered = new Room(node, {
    status(status) {
      view.show(status)
      network.server(status.kind === 'connected')
      if (status.kind === 'connected') {
        relay = withPeer(status.address, status.server)
        if (stay === 'lost') log.remark('The server is back')
        stay = 'present'
        composer.focus()
      } else if (stay === 'present') {
        log.remark('The server was lost: who is connected directly stays so')
        stay = 'lost'
      }
    },
    members(count, present) {
      view.showMembers(count)
      if (relay !== undefined) neighbours.meet(relay, present)
    },
    roundTrip: (ms) => view.showRoundTrip(ms),
    agent: (agent) => view.showAgent(agent),
  })
  room = entered

  const talk = new Talk(node, (line, through) => {
    network.moves(through, 'back')
    log.add(line)
  })
  receiveFiles(node, (offer, stop) => {
    const transfer = incoming(offer, stop)
    log.insert(transfer.item, false)
    return transfer
  })

  /** Says something to everybody in the room. */
  function speak(text: string): void {
    const line = log.add({ from: node.peerId, text, at: Date.now() })
    for (const { peer, path } of neighbours.all) if (path !== 'connecting') network.moves(peer, 'there')
    if (talk.say(text) > 0) return
    line.lost('Not sent')
    composer.restore(text)
  }

  async function send(peer: PeerId, file: File): Promise<void> {
    const connection = neighbours.connection(peer)
    if (connection === undefined) return
    const stop = new AbortController()
    const transfer = new Transfer(node.peerId, `For ${persona(peer).name}`, file, stop)
    transfer.item.classList.add('own')
    log.insert(transfer.item, true)
    await sendFile(connection, file, stop, (progress) => {
      if (progress.kind === 'moving') network.moves(peer, 'there')
      transfer.show(progress)
    })
  }

  /** Remarks in the log when somebody is reached, directly or not, or lost. */
  function tellOf(all: readonly Neighbour[]): void {
    for (const { peer, path } of all) {
      if (path === 'direct' && paths.get(peer) !== 'direct')
        log.remark(`${persona(peer).name} is connected directly`)
      paths.set(peer, path)
    }
    for (const peer of paths.keys()) {
      if (all.some((one) => one.peer === peer)) continue
      paths.delete(peer)
      log.remark(`${persona(peer).name} has left`)
    }
  }

  addEventListener('online', () => entered.hurry())
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) entered.hurry()
  })
  serverForm(entered)
}

/** The address of a server, with its PeerId. */
function withPeer(address: string, peer: PeerId): string {
  return address.includes('/p2p/') ? address : `${address}/p2p/${peer}`
}

/** The field for another server's address. */
function serverForm(entered: Room): void {
  const field = find<HTMLInputElement>('address')
  const chosen = chosenServer()
  field.value = chosen ?? ''
  find<HTMLDetailsElement>('other').open = chosen !== undefined
  find('choose').addEventListener('submit', (event) => {
    event.preventDefault()
    chooseServer(field.value.trim())
    entered.move()
  })
  find('usual').addEventListener('click', () => {
    field.value = ''
    chooseServer(undefined)
    entered.move()
  })
}

find('another').addEventListener('click', () => {
  open(location.href, '_blank', 'popup,width=460,height=760')
})
