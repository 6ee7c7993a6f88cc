package replicate

import (
	"errors"
	"io"
	"io/fs"
	"testing"
)

// slowly is content whose reader waits; it counts how often it was closed.
type slowly struct {
	reads  chan struct{} // has one for each that waits
	goes   chan struct{}
	closed int
}

func (s *slowly) Read(p []byte) (int, error) {
	s.reads <- struct{}{}
	<-s.goes
	return copy(p, "x"), nil
}

func (s *slowly) Close() error { s.closed++; return nil }

// TestLent: a client that closes what another goroutine of it reads neither waits
// nor closes it under its hands, and content is closed once.
func TestLent(t *testing.T) {
	content := &slowly{reads: make(chan struct{}), goes: make(chan struct{})}
	body, err := lend(func() (io.ReadCloser, error) { return content, nil })()
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan int)
	go func() {
		n, _ := body.Read(make([]byte, 1))
		read <- n
	}()
	<-content.reads
	if err := errors.Join(body.Close(), body.Close()); err != nil || content.closed != 0 {
		t.Fatalf("closed %d times while it was read (%v)", content.closed, err)
	}
	close(content.goes)
	if n := <-read; n != 1 || content.closed != 1 {
		t.Errorf("%d bytes were read, and it was closed %d times", n, content.closed)
	}
	if _, err := body.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after it was closed: %v", err)
	}
	if err := body.Close(); err != nil || content.closed != 1 {
		t.Errorf("closed %d times (%v)", content.closed, err)
	}
}
