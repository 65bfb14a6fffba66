// WebKit, as GTK has it, by classic WebDriver: a command is an HTTP request. It goes to
// whatever window was chosen last and nothing else happens until it is answered, so what
// takes time is begun by one command and asked for by others.
// Source: W3C, WebDriver.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { which } from '../../../scripts/lib.mjs'

/** How often is asked whether a function in a page has ended, in milliseconds. */
const POLL_MS = 20

/** See {@link openBrowser}. `path` is that of the driver, which knows where the browser is. */
export async function openWebkit(path) {
  const programs = []
  const start = (program, args, options) => {
    const child = spawn(program, args, options)
    const kill = () => child.kill()
    process.once('exit', kill)
    const ended = new Promise((resolve) => child.once('close', resolve).once('error', resolve))
    programs.unshift(async () => {
      kill()
      await ended
      process.off('exit', kill)
    })
    return child
  }
  const close = async () => {
    for (const end of programs) await end()
  }
  try {
    const screen = start(which('Xvfb'), ['-displayfd', '3', '-nolisten', 'tcp'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    })
    const [display] = await once(screen.stdio[3], 'data')
    const port = await freePort()
    const env = { ...process.env, DISPLAY: `:${String(display).trim()}` }
    const driver = start(path, [`--port=${port}`], { stdio: 'ignore', env })
    const base = `http://127.0.0.1:${port}`
    await answering(base, driver)
    const { sessionId, capabilities } = await ask('POST', `${base}/session`, { capabilities: {} })
    const session = new Session(`${base}/session/${sessionId}`)
    return {
      version: capabilities.browserVersion,
      newPage: () => session.newPage(),
      async close() {
        await session.end()
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** A port that the driver can be told to take: it cannot choose one. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

async function answering(base, driver) {
  for (;;) {
    const ready = await ask('GET', `${base}/status`).then(
      () => true,
      () => false,
    )
    if (ready) return
    if (driver.exitCode !== null) throw new Error(`WebKitWebDriver ended with ${driver.exitCode}`)
    await wait(POLL_MS)
  }
}

async function ask(method, url, body) {
  const response = await fetch(url, { method, body: body && JSON.stringify(body) })
  const { value } = await response.json()
  if (!response.ok) throw new Error(`WebKit: ${value.error}: ${value.message}`)
  return value
}

/** Commands one after another, each to the window that it is for. */
class Session {
  #url
  #chosen
  #last = Promise.resolve()

  constructor(url) {
    this.#url = url
  }

  #then(action) {
    const done = this.#last.then(action)
    this.#last = done.catch(() => {})
    return done
  }

  #send = (method, path, body) => ask(method, this.#url + path, body)

  async newPage() {
    const { handle } = await this.#then(() => this.#send('POST', '/window/new', { type: 'tab' }))
    return new Page((...command) =>
      this.#then(async () => {
        if (this.#chosen !== handle) await this.#send('POST', '/window', { handle })
        this.#chosen = handle
        return this.#send(...command)
      }),
    )
  }

  end = () => this.#then(() => this.#send('DELETE', ''))
}

class Page {
  #send
  #closed

  constructor(send) {
    this.#send = send
  }

  goto = (url) => this.#send('POST', '/url', { url })
  reload = () => this.#send('POST', '/refresh', {})

  close() {
    this.#closed ??= this.#send('DELETE', '/window')
    return this.#closed
  }

  async evaluate(action, argument) {
    const call = await this.#script(
      `const [text] = arguments
       const call = crypto.randomUUID()
       const ends = (globalThis.ends ??= new Map())
       ends.set(call, null)
       const run = async () => ({ result: await (${action})(JSON.parse(text)) })
       run().catch((error) => ({ error: String(error) })).then((end) => ends.set(call, JSON.stringify(end)))
       return call`,
      JSON.stringify(argument ?? null),
    )
    for (;;) {
      const end = await this.#script(
        `const [call] = arguments
         const end = globalThis.ends.get(call)
         if (end !== null) globalThis.ends.delete(call)
         return end`,
        call,
      )
      if (end !== null) {
        const { result, error } = JSON.parse(end)
        if (error !== undefined) throw new Error(error)
        return result
      }
      await wait(POLL_MS)
    }
  }

  #script = (script, ...args) => this.#send('POST', '/execute/sync', { script, args })
}
