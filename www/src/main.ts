/** The demo: a node in this page, a chat room on a server, and what one sees of both. */

import { createNode, KeyError, type PeerNode } from 'polypeer'
import { keyStore } from './identity'
import { Room } from './room'
import { chooseServer, chosenServer } from './server'
import { Composer } from './view/composer'
import { find } from './view/dom'
import { Log } from './view/log'
import { StatusView } from './view/status'
import { showYou } from './view/you'

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
  if (store === undefined) return { node: await createNode(), kept: false }
  try {
    return { node: await createNode({ keyStore: store }), kept: true }
  } catch (error) {
    if (!(error instanceof KeyError)) throw error
    return { node: await createNode(), kept: false }
  }
}

function start({ node, kept }: { node: PeerNode; kept: boolean }): void {
  showYou(node.peerId, kept)
  const log = new Log(node.peerId)
  const composer = new Composer((text) => void say(text))
  /** How the last turn in the fortunes was: connected once, then lost. */
  let stay: 'none' | 'present' | 'lost' = 'none'

  const entered = new Room(node, {
    status(status) {
      view.show(status)
      composer.setConnected(status.kind === 'connected')
      if (status.kind === 'connected') {
        if (stay === 'lost') log.remark('Connected again')
        stay = 'present'
        composer.focus()
      } else if (stay === 'present') {
        log.remark('The connection was lost')
        stay = 'lost'
      }
    },
    line: (line) => void log.add(line),
    members: (count) => view.showMembers(count),
    roundTrip: (ms) => view.showRoundTrip(ms),
    agent: (agent) => view.showAgent(agent),
  })
  room = entered

  async function say(text: string): Promise<void> {
    const line = log.add({ from: node.peerId, text, at: Date.now() })
    try {
      await entered.say(text)
    } catch {
      line.lost()
      composer.restore(text)
    }
  }

  addEventListener('online', () => entered.hurry())
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) entered.hurry()
  })
  serverForm(entered)
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
