// One run of each measurement, on one side of a pair: what it measured, by the names
// of `figures` in pairs.mjs.
import { ask, hold, listen } from '../lib/peers.mjs'
import { cpuSeconds, residentKiB } from './process.mjs'

const MiB = 1 << 20
const GiB = 1 << 30

/** Connections that are held to see what one costs, after those that pay for what is made once. */
const idleConnections = { first: 50, more: 1000 }

/** Handshakes that are held to see whether others are let in. */
const floodSockets = 2000

/**
 * `yields` names the figures; `side` is what sides.mjs made, `scale` below 1 asks for
 * less work. A trial that is `once` is not repeated.
 */
export const trials = {
  plain: {
    yields: ['ceiling'],
    ownOnly: true,
    async run({ side, pair, scale }) {
      const bytes = pair.bytes * scale
      const { seconds } = await (pair.meetingPlace
        ? side.ask('bareChannel', { bytes })
        : ask('polypeer-native', 'plain', undefined, { bytes }))
      return { plain: bytes / MiB / seconds }
    },
  },
  upload: {
    yields: ['upload', 'receiving', 'relaying', 'ceiling'],
    run: (context) => transfer(context, 'upload', 'receiving'),
  },
  download: {
    yields: ['download', 'sending', 'relaying'],
    run: (context) => transfer(context, 'download', 'sending'),
  },
  streams: {
    yields: ['sequential', 'parallel'],
    async run({ side, pair, scale }) {
      const { count, sequential, parallel } = await side.ask('streams', {
        count: Math.ceil(pair.streams * scale),
      })
      return { sequential: count / sequential, parallel: count / parallel }
    },
  },
  handshakes: {
    yields: ['connect', 'handshakes'],
    async run({ side, pair, scale }) {
      const { count, sequential, parallel } = await side.ask('handshakes', {
        count: Math.ceil(pair.handshakes * scale),
      })
      return { connect: (sequential * 1000) / count, handshakes: parallel && count / parallel }
    },
  },
  idle: {
    yields: ['idle'],
    once: true,
    run: async (context) => ({ idle: await memoryOfEach(context, 'listen', 'idle') }),
  },
  places: {
    yields: ['places'],
    once: true,
    run: async (context) => ({ places: await memoryOfEach(context, 'relay', 'places') }),
  },
  flood: {
    yields: ['flood'],
    once: true,
    async run({ side, pair }) {
      const listener = await listen(side.listenerName, pair.transport)
      try {
        const { slowest } = await ask('polypeer-native', 'flood', listener.address, { count: floodSockets })
        return { flood: slowest * 1000 }
      } finally {
        await listener.close()
      }
    },
  },
  gossip20: {
    yields: ['gossip20', 'delivery20'],
    run: (context) => gossip(context, 20, context.pair.gossip.small),
  },
  gossip100: {
    yields: ['gossip100', 'delivery100'],
    run: (context) => gossip(context, 100, context.pair.gossip.large),
  },
  dht: {
    yields: ['join', 'memory', ...['closest', 'put', 'get'].flatMap(ofQuery), 'closestFound', 'getFound'],
    // Hundreds of queries already, and rust-libp2p's peers take minutes to find each other.
    once: true,
    async run({ side, pair }) {
      const count = pair.peersInMemory
      const report = await ask(side.listenerName, 'dht-bench', undefined, { count })
      const measured = { join: (report.buildCpu * 1000) / count, memory: (report.mib * 1024) / count }
      for (const query of ['closest', 'put', 'get']) {
        const { medianMs, requests, cpuMs, found } = report[query]
        const [time, asked, cpu] = ofQuery(query)
        Object.assign(measured, { [time]: medianMs, [asked]: requests, [cpu]: cpuMs })
        if (query !== 'put') measured[`${query}Found`] = found * 100
      }
      return measured
    },
  },
  first: {
    yields: ['first'],
    async run({ side }) {
      const { milliseconds } = await side.ask('firstByte')
      return { first: milliseconds }
    },
  },
  load: {
    yields: ['load'],
    run: async ({ side }) => ({ load: await side.load() }),
  },
}

/** The figures of a kind of query: time, requests, CPU. */
function ofQuery(name) {
  return [name, `${name}Requests`, `${name}Cpu`]
}

/** Messages of 1 KiB that are under way at a time, unless some are lost at that. */
const gossipWindow = 16

/**
 * Messages of 1 KiB, signed, that all of `count` peers hear, with as many under way at a
 * time as lose none.
 */
async function gossip({ side, scale }, count, messages, window = gossipWindow) {
  const options = { count, messages: Math.ceil(messages * scale), window }
  const { seconds, cpu, deliveries, lost } = await ask(side.listenerName, 'pubsub-bench', undefined, options)
  if (lost > 0 && window > 1) return gossip({ side, scale }, count, messages, window / 2)
  if (lost > 0) throw new Error(`${lost} of ${options.messages} messages were lost, one at a time`)
  return {
    [`gossip${count}`]: options.messages / seconds,
    [`delivery${count}`]: (cpu * 1e6) / deliveries,
  }
}

/** The listener's CPU time stands for its role: the dialer's, in the other direction, is the same. */
async function transfer({ side, pair, scale }, direction, role) {
  const bytes = pair.bytes * scale
  const before = cpuSeconds(side.pid)
  const report = await side.ask('perf', { upload: 0, download: 0, [direction]: bytes })
  const cpu = cpuSeconds(side.pid) - before
  return {
    [direction]: bytes / MiB / report[direction].seconds,
    // Garbage collectors and compilers on threads of their own blur it elsewhere.
    [pair.relayed ? 'relaying' : role]: pair.ours === 'polypeer-native' ? (cpu * GiB) / bytes : undefined,
  }
}

/** KiB that each of many peers costs a listener or a relay that they stay with. */
async function memoryOfEach({ side, pair, scale }, command, stay) {
  const listener = await listen(side.listenerName, pair.transport, { command })
  const memory = async () => {
    await listener.settle()
    return residentKiB(listener.pid)
  }
  try {
    const more = Math.ceil((pair.idle ?? idleConnections.more) * scale)
    const holders = [await hold('polypeer-native', listener.address, idleConnections.first, stay)]
    const before = await memory()
    holders.push(await hold('polypeer-native', listener.address, more, stay))
    const after = await memory()
    await Promise.all(holders.map((holder) => holder.close()))
    return before && (after - before) / more
  } finally {
    await listener.close()
  }
}
