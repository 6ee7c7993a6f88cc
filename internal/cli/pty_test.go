package cli_test

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is a real one.
type terminal struct {
	tty  *os.File // the program's end
	ptmx *os.File // the person's
	read chan struct{}

	mu    sync.Mutex
	more  *sync.Cond
	shown strings.Builder
	ended bool
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(ptmx.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100}); err != nil {
		t.Fatal(err)
	}
	term := &terminal{tty: tty, ptmx: ptmx, read: make(chan struct{})}
	term.more = sync.NewCond(&term.mu)
	go term.look()
	t.Cleanup(func() {
		term.screen()
		_ = ptmx.Close()
	})
	return term
}

// look keeps what is shown until the program's end is closed, which is an EIO.
func (m *terminal) look() {
	defer close(m.read)
	buf := make([]byte, 4096)
	for {
		n, err := m.ptmx.Read(buf)
		m.mu.Lock()
		m.shown.Write(buf[:n])
		m.ended = err != nil
		m.mu.Unlock()
		m.more.Broadcast()
		if err != nil {
			return
		}
	}
}

// typeLine is a person who types. The kernel shows it in its own time: what is
// typed before a program hides it may be shown after the program's next words.
func (m *terminal) typeLine(t *testing.T, line string) {
	t.Helper()
	if _, err := m.ptmx.WriteString(line + "\n"); err != nil {
		t.Error(err)
	}
}

// awaits waits until text is shown, or the program or ctx ended: false.
func (m *terminal) awaits(ctx context.Context, text string) bool {
	defer context.AfterFunc(ctx, func() {
		m.mu.Lock() // so that it is seen by who is about to wait
		defer m.mu.Unlock()
		m.more.Broadcast()
	})()
	m.mu.Lock()
	defer m.mu.Unlock()
	for !strings.Contains(m.shown.String(), text) {
		if m.ended || ctx.Err() != nil {
			return false
		}
		m.more.Wait()
	}
	return true
}

// screen closes the program's end; all that was shown.
func (m *terminal) screen() string {
	_ = m.tty.Close() // at most once with success
	<-m.read
	return strings.ReplaceAll(m.shown.String(), "\r\n", "\n")
}
