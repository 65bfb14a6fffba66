// A chat as a service: every peer has a session with its own state, messages go to
// all others, and a timer greets. Run it: node examples/chat.mjs
import { createNode } from 'polypeer'

const encode = (text) => new TextEncoder().encode(text)
const decode = (message) => new TextDecoder().decode(message)

/** The chat, for the life of the node. */
class Chat {
  #screen
  /** How many lines each peer has said. */
  #lines = new Map()

  constructor(screen) {
    this.#screen = screen
  }

  session() {
    return new Member(this.#screen)
  }

  received(message, from, service) {
    this.#lines.set(from.peer, (this.#lines.get(from.peer) ?? 0) + 1)
    // Whoever is in the middle passes on what was said.
    service.broadcast(message, { filter: (to) => to !== from })
  }

  disconnected(_end, { peer }) {
    this.#screen(`somebody left after ${this.#lines.get(peer) ?? 0} lines`)
    this.#lines.delete(peer)
  }
}

/** One member, for the life of its session. */
class Member {
  #screen
  #name = 'somebody'

  constructor(screen) {
    this.#screen = screen
  }

  connected(session) {
    session.setTimer('greet', 10)
  }

  notified(_token, session) {
    session.send(encode('/hello'))
  }

  received(message) {
    const text = decode(message)
    if (text === '/hello') this.#screen(`${this.#name} says hello`)
    else if (text.startsWith('/name ')) this.#name = text.slice('/name '.length)
    else this.#screen(`${this.#name}: ${text}`)
  }
}

/** Two peers that chat; what each of them saw. */
export async function chat() {
  const protocol = { name: '/example/chat', versions: '^1.2', own: '1.2.0' }
  const seen = { ann: [], bob: [] }
  let news = () => {}
  const start = async (name, options) => {
    const node = await createNode(options)
    const show = (line) => {
      seen[name].push(line)
      news()
    }
    return { node, service: node.serve({ protocol }, new Chat(show)) }
  }
  /** Resolves when both have seen so many lines. */
  const lines = (ann, bob) =>
    new Promise((resolve) => {
      news = () => {
        if (seen.ann.length >= ann && seen.bob.length >= bob) resolve()
      }
      news()
    })

  const bob = await start('bob', { listen: ['/ip4/127.0.0.1/tcp/0'] })
  const ann = await start('ann')
  await ann.node.dial(bob.node.addresses)
  await lines(1, 1)
  for (const text of ['/name Ann', 'good morning']) ann.service.broadcast(encode(text))
  await lines(1, 2)
  for (const text of ['/name Bob', 'good evening']) bob.service.broadcast(encode(text))
  await lines(2, 2)
  const goodbye = [...seen.ann]
  await ann.node.close()
  await lines(2, 3)
  await bob.node.close()
  // That she left is nothing that Ann saw of others.
  return { ann: goodbye, bob: seen.bob }
}

if (import.meta.filename === process.argv[1]) console.log(await chat())
