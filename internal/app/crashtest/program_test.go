package crashtest_test

import (
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
)

// program is a process of ours.
type program struct {
	cmd      *exec.Cmd
	token    chan string // the server's first one
	listens  chan string // where, of a server
	stopping atomic.Bool
	ended    chan struct{}
}

// address is where a server listens; empty when it died before it did.
func (p *program) address() string {
	select {
	case a := <-p.listens:
		p.listens <- a
		return a
	case <-p.ended:
		return ""
	}
}

// log keeps what the processes say.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(0, len(l.lines)-60):], "\n")
}
