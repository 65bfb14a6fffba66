// Starts the test peers of tests/peers; their command line is in its README.md.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { built, inCi, isExecutable, isWindows, root } from '../../scripts/lib.mjs'
import { newerNode } from '../../scripts/newer-node.mjs'

const at = (path) => join(root, 'tests/peers', path)
const exe = isWindows ? '.exe' : ''
const rustTarget = process.env.PEERS_TARGET_DIR ?? at('rust/target')

/** What each peer is started with, and what its agent string contains. */
export const peers = {
  go: { program: at(`go/peer${exe}`), agent: 'test-peer-go/', optional: true },
  rust: { program: join(rustTarget, `release/polypeer-test-peer-rust${exe}`), agent: 'test-peer-rust/' },
  'js-node': { program: newerNode(), arguments: [at('js/peer.mjs')], agent: 'test-peer-js/' },
  'polypeer-native': { program: built('polypeer-test-peer'), agent: 'polypeer/' },
  'polypeer-node': {
    program: process.execPath,
    arguments: [at('polypeer-node/peer.mjs')],
    agent: 'polypeer/',
  },
}

/** Why a peer cannot take part, or undefined. In CI a missing peer is a failure, not a skip. */
export function missing(name) {
  const { program, optional } = peers[name]
  if (isExecutable(program)) return undefined
  if (optional && !inCi) return `${name} is not built (Go is not installed?)`
  throw new Error(`the test peer ${name} is not built: ${program}`)
}

/** Starts a peer's program; `line` is the next line that it prints, `end` lets it end. */
function start(name, args) {
  const { program, arguments: before = [] } = peers[name]
  const child = spawn(program, [...before, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors = (errors + text).slice(-4000)
  })
  // Written to after its end: the end tells.
  child.stdin.on('error', () => {})
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve(signal ?? code))
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    child,
    async line() {
      const { done, value } = await lines.next()
      if (done) throw new Error(`${name} ${args[0]} ended with ${await ended}\n${errors}`)
      return JSON.parse(value)
    },
    async end() {
      child.stdin.end()
      // A peer that does not end when it is told to is ended.
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await ended
      clearTimeout(timer)
    },
  }
}

/**
 * Starts a listener; with the command `relay` it serves as a relay without limits, with
 * `punch` it listens through the relay at `at` and on `place`, and punches holes for those who come;
 * `through` is the address of the relay that it listens through, `version` that of the
 * protocol that it serves, where a peer can serve it alone. `settle` has one in JavaScript collect its garbage, if it was
 * started with `--expose-gc`; `close` ends it.
 */
export async function listen(name, transport, { command = 'listen', through, at, place, version } = {}) {
  const anywhere = through === undefined ? ['--transport', transport] : ['--through', through]
  const own = place === undefined ? [] : ['--at', place]
  const where = at === undefined ? anywhere : [at, ...own]
  const only = version === undefined ? [] : ['--version', String(version)]
  const { child, line, end } = start(name, [command, ...where, ...only])
  const { peerId, addresses } = await line()
  return {
    peerId,
    address: (at && addresses.find((address) => address.includes('/p2p-circuit'))) ?? addresses[0],
    pid: child.pid,
    async settle() {
      if (!peers[name].arguments) return
      child.stdin.write('\n')
      await line()
    },
    close: end,
  }
}

/** Runs a dialer's command to its end and returns what it printed; `options` become `--name value`. */
export async function ask(name, command, address, options = {}) {
  const flags = Object.entries(options).flatMap(([option, value]) => [`--${option}`, String(value)])
  const { line, end } = start(name, [command, ...(address ? [address] : []), ...flags])
  const report = await line()
  await end()
  return report
}

/** Starts a peer that does what it is asked for: `ask(request)` tells what came of it. */
async function asked(name, ...args) {
  const { child, line, end } = start(name, args)
  const { peerId, addresses } = await line()
  let last = Promise.resolve()
  const ask = (request) => {
    // One after the other, as the answers come.
    const answer = last.then(async () => {
      child.stdin.write(`${JSON.stringify(request)}\n`)
      return await line()
    })
    last = answer.catch(() => {})
    return answer
  }
  return { name, peerId, address: addresses[0], ask, close: end }
}

/** What a peer of `asked` answers to a request that it carries out. */
export async function good(peer, request) {
  const answer = await peer.ask(request)
  assert.equal(answer.ok, true, `${peer.name}: ${JSON.stringify(request)}: ${answer.error}`)
  return answer
}

/** The address of a peer, with its name. */
export const withPeer = ({ address, peerId }) =>
  address.includes('/p2p/') ? address : `${address}/p2p/${peerId}`

/**
 * Starts a peer that publishes and subscribes; `protocol` is the only one for that which it
 * speaks, `discovery` how it finds the peers of its topics.
 */
export const joinPubsub = (name, protocol, discovery) =>
  asked(
    name,
    'pubsub',
    ...(protocol === undefined ? [] : ['--protocol', protocol]),
    ...(discovery === undefined ? [] : ['--discovery', discovery]),
  )

/** Starts a peer that looks for its neighbours on this machine, at a UDP port. */
export const joinMdns = (name, port) => asked(name, 'mdns', '--port', String(port))

/** Starts a rendezvous point that asks others too. */
export const joinRendezvous = (name) => asked(name, 'rendezvous')

/** Starts a peer in a DHT. */
export const joinDht = (name) => asked(name, 'dht')

/** Starts the command `idle` or `places` of a dialer; `close` lets go of its connections. */
export async function hold(name, address, count, command = 'idle') {
  const { line, end } = start(name, [command, address, '--count', String(count)])
  await line()
  return { close: end }
}

/** The checks of a report that failed, each as one line. */
export const failures = (report) =>
  Object.entries(report.checks)
    .filter(([, { ok }]) => !ok)
    .map(([name, { detail }]) => `${name}: ${detail}`)
