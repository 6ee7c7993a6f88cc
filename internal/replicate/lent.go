package replicate

import (
	"io"
	"io/fs"
	"sync"
)

// lent is content that is given to a client of HTTP, which may go on reading it, or
// close it, in a goroutine of its own after it returned: a registry may answer
// before it took all of it. It is closed once, and not while it is read.
type lent struct {
	mu      sync.Mutex
	content io.ReadCloser
	reading bool
	closed  bool
}

// lend has what a client gets be content that it may close when it likes.
func lend(open Open) Open {
	return func() (io.ReadCloser, error) {
		content, err := open()
		if err != nil {
			return nil, err
		}
		return &lent{content: content}, nil
	}
}

// Read implements [io.Reader].
func (l *lent) Read(p []byte) (int, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return 0, fs.ErrClosed
	}
	l.reading = true
	l.mu.Unlock()

	n, err := l.content.Read(p)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading = false
	if l.closed {
		_ = l.content.Close() // nobody is left to be told
	}
	return n, err
}

// Close implements [io.Closer]. It does not wait for who reads.
func (l *lent) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if l.reading {
		return nil
	}
	return l.content.Close()
}
