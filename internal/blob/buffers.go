package blob

import "sync"

// bufferSize is how many bytes are copied at once: few enough to be in the
// processor's cache still when they are hashed and written after having been
// read. Writes of more made files of 1 MiB up to four times slower where it was
// measured, a virtual machine whose memory the host gives page by page.
const bufferSize = 32 << 10

// buffers are kept from one copy to the next: most blobs are much smaller than
// a buffer, and a new one for each would be nearly all the memory that a push
// asks for.
type buffers struct{ idle sync.Pool }

func (b *buffers) get() *[]byte {
	if buf, ok := b.idle.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, bufferSize)
	return &buf
}

func (b *buffers) put(buf *[]byte) { b.idle.Put(buf) }
