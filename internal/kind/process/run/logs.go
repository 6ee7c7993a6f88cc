package run

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// logWriter appends to a file and rotates it at a size: path.1 is the newest of
// the rotated ones. A log that can't be written loses lines; it never stops
// the process that writes them.
type logWriter struct {
	path string
	max  int64
	keep int
	f    *os.File
	size int64
}

func newLog(path string, maxBytes int64, keep int) (*logWriter, error) {
	l := &logWriter{path: path, max: maxBytes, keep: keep}
	if err := l.open(); err != nil {
		return nil, towpath.E(towpath.KindUnavailable, "shim.log", "the log can't be opened").On(path).WithCause(err)
	}
	return l, nil
}

func (l *logWriter) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	l.f, l.size = f, fi.Size()
	return nil
}

func (l *logWriter) close() { _ = l.f.Close() }

// pump copies until the end of r, whatever becomes of the log.
func (l *logWriter) pump(r io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		l.write(buf[:n])
		if err != nil {
			return
		}
	}
}

func (l *logWriter) write(b []byte) {
	if l.size > 0 && l.size+int64(len(b)) > l.max {
		l.rotate()
	}
	n, _ := l.f.Write(b) // a full disk loses lines
	l.size += int64(n)
}

func (l *logWriter) rotate() {
	for i := l.keep - 1; i >= 1; i-- {
		_ = os.Rename(l.path+"."+strconv.Itoa(i), l.path+"."+strconv.Itoa(i+1))
	}
	old := l.f
	if os.Rename(l.path, l.path+".1") != nil || l.open() != nil {
		l.f = old
		return
	}
	_ = old.Close()
}

// Bounds of what is shown of a log.
const (
	tailLines = 20
	tailBytes = 32 << 10
	tailWidth = 500 // bytes of a line
)

// tail is the last lines of an instance's log.
func tail(instanceDir string) []string {
	f, err := os.Open(filepath.Join(instanceDir, outFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.Size() > tailBytes {
		_, _ = f.Seek(-tailBytes, io.SeekEnd)
	}
	b, _ := io.ReadAll(io.LimitReader(f, tailBytes))
	return lastLines(b)
}

func lastLines(b []byte) []string {
	b = bytes.TrimRight(b, "\n")
	if len(b) == 0 {
		return nil
	}
	lines := bytes.Split(b, []byte("\n"))
	lines = lines[max(0, len(lines)-tailLines):]
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.ToValidUTF8(string(l[:min(len(l), tailWidth)]), "�")
	}
	return out
}
