// Firefox by WebDriver BiDi, which it speaks by itself: a command is a message on a
// WebSocket, and so is its answer.
// Source: W3C, WebDriver BiDi.
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { WebSocket } from 'ws'

const preferences = {
  // Two pages of one machine find each other, without multicast names and other networks.
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'network.proxy.type': 0,
  // A page that is not in front is as quick as one that is.
  'dom.min_background_timeout_value': 4,
  'dom.timeout.enable_budget_timer_throttling': false,
  'dom.ipc.processPriorityManager.enabled': false,
}

/** Starts the program at `path`: see {@link openBrowser}. */
export async function openFirefox(path) {
  const profile = await mkdtemp(join(tmpdir(), 'polypeer-firefox-'))
  const lines = Object.entries(preferences).map(
    (one) => `user_pref(${one.map((it) => JSON.stringify(it))});\n`,
  )
  await writeFile(join(profile, 'user.js'), lines.join(''))
  const child = spawn(
    path,
    [
      '--headless',
      '--no-remote',
      '--profile',
      profile,
      '--remote-debugging-port',
      '0',
      '--remote-allow-system-access',
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  const ended = new Promise((resolve) => child.once('close', resolve))
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const remove = async () => {
    await ended
    process.off('exit', kill)
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    const send = await connect(`${await listening(child)}/session`)
    const { capabilities } = await send('session.new', { capabilities: {} })
    const trust = await trusting(send)
    return {
      version: capabilities.browserVersion,
      async newPage() {
        const { context } = await send('browsingContext.create', { type: 'tab' })
        return new Page(send, trust, context)
      },
      async close() {
        await send('browser.close', {})
        await remove()
      },
    }
  } catch (error) {
    kill()
    await remove()
    throw error
  }
}

/** Where it says that it can be driven. */
function listening(child) {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    const said = []
    const lines = createInterface({ input: child.stderr })
    lines.on('line', (line) => {
      said.push(line)
      const [, url] = /WebDriver BiDi listening on (ws:\S+)/.exec(line) ?? []
      if (url !== undefined) resolve(url)
    })
    lines.once('close', () => reject(new Error(`Firefox did not start:\n${said.join('\n')}`)))
  })
}

/** A function that sends a command and has its result. */
async function connect(url) {
  const socket = new WebSocket(url)
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  const waiting = new Map()
  socket.on('message', (text) => {
    const { id, type, result, error, message } = JSON.parse(text)
    const { resolve, reject } = waiting.get(id) ?? {}
    waiting.delete(id)
    if (type === 'success') resolve?.(result)
    else if (type === 'error') reject?.(new Error(`Firefox: ${error}: ${message}`))
  })
  socket.on('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('Firefox is gone'))
  })
  let id = 0
  return (method, params) =>
    new Promise((resolve, reject) => {
      waiting.set(++id, { resolve, reject })
      socket.send(JSON.stringify({ id, method, params }))
    })
}

/**
 * A function that lets pages of an origin be called: others have the address of the
 * default route alone, from which Firefox reaches nobody on loopback.
 */
async function trusting(send) {
  const { contexts } = await send('browsingContext.getTree', { 'moz:scope': 'chrome' })
  const [{ context }] = contexts
  return (origin) =>
    send('script.callFunction', {
      functionDeclaration: `(origin) => {
        const principal = Services.scriptSecurityManager.createContentPrincipalFromOrigin(origin)
        Services.perms.addFromPrincipal(principal, 'microphone', Services.perms.ALLOW_ACTION)
      }`,
      arguments: [{ type: 'string', value: origin }],
      target: { context },
      awaitPromise: false,
    })
}

class Page {
  #send
  #trust
  #context
  #closed

  constructor(send, trust, context) {
    this.#send = (method, params) => send(method, { context, ...params })
    this.#trust = trust
    this.#context = context
  }

  async goto(url) {
    await this.#trust(new URL(url).origin)
    await this.#send('browsingContext.navigate', { url, wait: 'complete' })
  }

  reload = () => this.#send('browsingContext.reload', { wait: 'complete' })

  close() {
    this.#closed ??= this.#send('browsingContext.close', {})
    return this.#closed
  }

  async evaluate(action, argument) {
    const { result, exceptionDetails } = await this.#send('script.callFunction', {
      functionDeclaration: `async (text) => JSON.stringify({ result: await (${action})(JSON.parse(text)) })`,
      arguments: [{ type: 'string', value: JSON.stringify(argument ?? null) }],
      target: { context: this.#context },
      awaitPromise: true,
    })
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.text)
    return JSON.parse(result.value).result
  }
}
