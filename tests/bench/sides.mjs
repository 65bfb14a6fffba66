// Polypeer's side of a pair, and the other's: a listener that is up, and a dialer.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { newerNode } from '../../scripts/newer-node.mjs'
import { launch, openPage, servePage } from '../lib/browser.mjs'
import { ask, listen, peers } from '../lib/peers.mjs'

const loadPage = join(fileURLToPath(new URL('.', import.meta.url)), 'load.mjs')

// Both on one version of Node, the one that js-libp2p needs.
for (const name of ['polypeer-node', 'js-node']) {
  peers[name].program = newerNode()
  peers[name].arguments.unshift('--expose-gc')
}

/** Both sides of a pair, ours first. */
export async function startSides(pair) {
  if (pair.meetingPlace) return startTwoPages(pair)
  return pair.listener ? startPages(pair) : Promise.all([pair.ours, pair.theirs].map(startProcess(pair)))
}

const startProcess = (pair) => async (name) => {
  if (pair.relayed) return startRelayed(pair, name)
  const { pid, address, close } = await listen(name, pair.transport)
  return {
    listenerName: name,
    pid,
    ask: (command, options) => ask(name, command, address, options),
    close,
  }
}

/** A relay, whose `pid` is told, and a listener behind it. */
async function startRelayed(pair, name) {
  const relay = await listen(name, pair.transport, { command: 'relay' })
  const listener = await listen(name, pair.transport, { through: relay.address })
  return {
    listenerName: name,
    pid: relay.pid,
    ask: (command, options) => ask(name, command, listener.address, options),
    async close() {
      await listener.close()
      await relay.close()
    },
  }
}

async function startPages(pair) {
  const listener = await listen(pair.listener, pair.transport)
  const browser = await launch()
  const sides = []
  for (const name of [pair.ours, pair.theirs]) {
    const page = await openPage(browser, name)
    const loaded = await servePage(name, loadPage)
    sides.push({
      pid: listener.pid,
      ask: (command, options) => page.run(command, listener.address, options),
      load: () => load(browser, `${loaded.url}#${listener.address}`),
      async close() {
        await page.close()
        await loaded.close()
      },
    })
  }
  return endWith(sides, browser, listener)
}

/** Sides whose end, that of the second, ends what both need too. */
function endWith([ours, theirs], ...both) {
  const close = async () => {
    for (const one of [theirs, ...both]) await one.close()
  }
  return [ours, { ...theirs, close }]
}

/** Two pages on each side, one of which listens behind the relay. */
async function startTwoPages(pair) {
  const relay = await listen(pair.meetingPlace, pair.transport, { command: 'relay' })
  const browser = await launch()
  const sides = []
  for (const name of [pair.ours, pair.theirs]) {
    const [listener, dialer] = [await openPage(browser, name, 'page'), await openPage(browser, name, 'page')]
    const places = ['/webrtc', `${relay.address}/p2p-circuit`]
    const address = await listener.run('listen', places, '/p2p-circuit/webrtc/p2p/')
    sides.push({
      pid: relay.pid,
      ask: (command, options) => dialer.run(command, address, options),
      async close() {
        await listener.close()
        await dialer.close()
      },
    })
  }
  return endWith(sides, browser, relay)
}

/** Milliseconds from the load of a page to its connection, with nothing in the cache. */
async function load(browser, url) {
  const context = await browser.newContext()
  try {
    const page = await context.newPage()
    await page.goto(url)
    return await page.evaluate(() => globalThis.milliseconds)
  } finally {
    await context.close()
  }
}
