import { actions } from './client.mjs'

const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
const waiting = new Map()
let calls = 0
worker.onmessage = ({ data }) => {
  const { resolve, reject } = waiting.get(data.call)
  waiting.delete(data.call)
  if ('error' in data) reject(new Error(data.error))
  else resolve(data.result)
}

globalThis.inPage = (name, ...args) => actions[name](...args)
globalThis.inWorker = (name, ...args) =>
  new Promise((resolve, reject) => {
    const call = calls++
    waiting.set(call, { resolve, reject })
    worker.postMessage({ call, name, args })
  })
globalThis.isReady = true
