package run

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestLogWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), outFile)
	l, err := newLog(path, 100, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		l.write(fmt.Appendf(nil, "line %02d\n", i)) // 8 bytes
	}
	l.close()
	files, _ := filepath.Glob(path + "*")
	if len(files) != 3 {
		t.Fatalf("left %q, want the log and two rotated ones", files)
	}
	for _, f := range files {
		if fi, err := os.Stat(f); err != nil || fi.Size() > 100 {
			t.Errorf("%s: %v, %v", f, fi.Size(), err)
		}
	}
	b, _ := os.ReadFile(path)
	older, _ := os.ReadFile(path + ".1")
	if both := string(older) + string(b); !strings.HasSuffix(both, "line 47\nline 48\nline 49\n") {
		t.Errorf("the newest lines are not at the end: %q", both)
	}
}

func TestTail(t *testing.T) {
	dir := t.TempDir()
	if got := tail(dir); got != nil {
		t.Errorf("no log: %q", got)
	}
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	text.WriteString(strings.Repeat("x", 1000))
	if err := os.WriteFile(filepath.Join(dir, outFile), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got := tail(dir)
	if len(got) != tailLines || got[18] != "line 4999" || len(got[19]) != tailWidth {
		t.Errorf("got %d lines: %q", len(got), got)
	}
}

func TestReservePort(t *testing.T) {
	for range 20 {
		port, err := reservePort()
		if err != nil {
			t.Fatal(err)
		}
		for range 50 { // nobody who asks for any port gets it
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			if ln.Addr().(*net.TCPAddr).Port == port {
				t.Fatalf("port %d was given away", port)
			}
			ln.Close()
		}
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatalf("whom it is reserved for can't bind it: %v", err)
		}
		ln.Close()
	}
}
