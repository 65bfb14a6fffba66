// What the browser's data channels carry with nothing on top of them.

/** libp2p's longest message on a data channel. */
const message = 16 << 10
/** As much waits in the channel as is on its way at a time. */
const ahead = 1 << 20

/** Seconds that `bytes` take between two peer connections of this page. */
export async function bareChannel(bytes) {
  const ends = [new RTCPeerConnection(), new RTCPeerConnection()]
  try {
    for (const [index, end] of ends.entries()) {
      end.onicecandidate = ({ candidate }) => candidate && ends[1 - index].addIceCandidate(candidate)
    }
    const channel = ends[0].createDataChannel('')
    const arrived = new Promise((resolve) => {
      let count = 0
      ends[1].ondatachannel = ({ channel }) => {
        channel.binaryType = 'arraybuffer'
        channel.onmessage = ({ data }) => {
          count += data.byteLength
          if (count >= bytes) resolve()
        }
      }
    })
    await ends[0].setLocalDescription()
    await ends[1].setRemoteDescription(ends[0].localDescription)
    await ends[1].setLocalDescription()
    await ends[0].setRemoteDescription(ends[1].localDescription)
    await new Promise((resolve) => channel.addEventListener('open', resolve, { once: true }))
    channel.bufferedAmountLowThreshold = ahead / 2
    const zeros = new Uint8Array(message)
    const start = performance.now()
    for (let sent = 0; sent < bytes; sent += message) {
      if (channel.bufferedAmount > ahead) {
        await new Promise((resolve) => channel.addEventListener('bufferedamountlow', resolve, { once: true }))
      }
      channel.send(zeros)
    }
    await arrived
    return { seconds: (performance.now() - start) / 1000 }
  } finally {
    for (const end of ends) end.close()
  }
}
