package router

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// How a router is replaced, over one connection to its control socket:
//
//	new: POST /handover                 old: takes no changes from here on
//	                                    old: will, and the files: lock, control socket, listeners
//	new: ready                          old: go
//	new: accepts connections, serving   old: accepts none any more
//	new: follow (what has changed)      old: followed (what is under way, what was counted)
//	...                                 old: ends with its last request
//
// A new router that ends before it serves leaves everything as it was. No socket
// is ever closed in between, so no connection is refused.
const upgradeTo = "towpath-handover"

// will is what the new router is told with the files.
type will struct {
	Listeners []handed       `json:"listeners"`
	Counted   route.Snapshot `json:"counted"`
}

// word is what the two say until the new one serves.
type word struct {
	Say string `json:"say"`
}

// handoverTimeout bounds each step of the new router until it is ready, and each
// answer of the old one.
const handoverTimeout = 10 * time.Second

// maxWill bounds the will, in bytes.
const maxWill = 64 << 20

// handOver is the old router's side.
func (s *server) handOver(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isReplaced() {
		refuse(w, http.StatusMisdirectedRequest, errReplaced)
		return
	}
	raw, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	conn, ok := raw.(*net.UnixConn)
	if !ok {
		_ = raw.Close()
		return
	}
	n, err := s.bequeath(conn)
	if err != nil {
		_ = conn.Close()
		s.log.Warn("not replaced", "error", err)
		return
	}
	s.retire()
	s.log.Info("replaced by another router; finishing what is under way")
	go s.obeyNext(n)
}

// next is the old router's end of the connection.
type next struct {
	conn    *net.UnixConn
	in      *json.Decoder
	out     *json.Encoder
	counted route.Snapshot // at the time of the will
}

// bequeath hands everything on and returns once the new router serves.
func (s *server) bequeath(conn *net.UnixConn) (*next, error) {
	n := &next{conn: conn, in: json.NewDecoder(conn), out: json.NewEncoder(conn), counted: s.snapshotLocked(0)}
	if err := conn.SetDeadline(s.now().Add(handoverTimeout)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+upgradeTo+"\r\n\r\n"); err != nil {
		return nil, err
	}
	if err := s.sendEstate(conn, n.counted); err != nil {
		return nil, err
	}
	if err := n.expect("ready"); err != nil {
		return nil, err
	}
	// From here on only its end says that the new router does not serve: it may
	// do so at any moment.
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if err := n.out.Encode(word{"go"}); err != nil {
		return nil, err
	}
	return n, n.expect("serving")
}

func (n *next) expect(say string) error { return expect(n.in, say) }

func expect(in *json.Decoder, say string) error {
	var w word
	if err := in.Decode(&w); err != nil {
		return err
	}
	if w.Say != say {
		return towpath.E(towpath.KindInternal, "router.replace", "the other router says %q where %q was to come", w.Say, say)
	}
	return nil
}

// sendEstate sends the will and then one byte with each file.
func (s *server) sendEstate(conn *net.UnixConn, counted route.Snapshot) error {
	w := will{Counted: counted}
	files := []syscallConn{s.estate.lock, s.estate.control}
	for _, name := range slices.Sorted(maps.Keys(s.routes)) {
		for listen, f := range s.routes[name].servers {
			if c, ok := f.listener.(syscallConn); ok {
				w.Listeners = append(w.Listeners, handed{Route: name, Listen: listen})
				files = append(files, c)
			}
		}
	}
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
		return err
	}
	for _, f := range files {
		if err := sendFile(conn, f); err != nil {
			return err
		}
		failpoint.Hit("router.handover-file")
	}
	return nil
}

// retire stops accepting. What was accepted goes on.
func (s *server) retire() {
	s.replaced.Store(true)
	for _, l := range s.routes {
		for _, f := range l.servers {
			_ = f.listener.Close()
		}
	}
	s.estate.control.SetUnlinkOnClose(false)
	_ = s.estate.control.Close()
	close(s.gone)
}

func (s *server) isReplaced() bool { return s.replaced.Load() }

// takeOver is the new router's side: the estate of the router that serves the
// folder. It returns once that one waits to hear that this one serves.
func takeOver(ctx context.Context, dir string) (*estate, error) {
	const op = "router.replace"
	ctx, cancel := context.WithTimeout(ctx, handoverTimeout)
	defer cancel()
	e, err := receive(ctx, dir)
	if err != nil {
		return nil, towpath.E(towpath.KindUnavailable, op, "the running router does not hand over").On(dir).WithCause(err).
			WithHint("it goes on serving; if it is of an older version, `kill` it when a short interruption does no harm: the agent starts the new one")
	}
	stop := context.AfterFunc(ctx, func() { _ = e.from.conn.Close() })
	if _, err = loadConfig(dir); err == nil { // what it holds in memory it has on disk
		if err = e.from.out.Encode(word{"ready"}); err == nil {
			err = expect(e.from.in, "go")
		}
	}
	failpoint.Hit("router.handover-go")
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		e.close()
		return nil, towpath.E(towpath.KindUnavailable, op, "the running router did not let go").On(dir).WithCause(err)
	}
	return e, nil
}

func receive(ctx context.Context, dir string) (*estate, error) {
	p, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	raw, err := (&net.Dialer{}).DialContext(ctx, "unix", p)
	if err != nil {
		return nil, err
	}
	conn, ok := raw.(*net.UnixConn)
	if !ok {
		_ = raw.Close()
		return nil, net.ErrClosed
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	e, err := receiveEstate(conn)
	if err != nil {
		_ = conn.Close()
	}
	return e, err
}

func receiveEstate(conn *net.UnixConn) (*estate, error) {
	if _, err := io.WriteString(conn, "POST /handover HTTP/1.1\r\nHost: router\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: "+upgradeTo+"\r\n\r\n"); err != nil {
		return nil, err
	}
	if err := switched(conn); err != nil {
		return nil, err
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head)
	if size > maxWill {
		return nil, io.ErrShortBuffer
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil, err
	}
	var w will
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, err
	}
	return receiveFiles(conn, w)
}

// switched reads the head of the answer, and not a byte more: reading further
// would lose files.
func switched(conn *net.UnixConn) error {
	var head strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		if head.Len() > 4<<10 {
			return io.ErrShortBuffer
		}
		if _, err := io.ReadFull(conn, b); err != nil {
			return err
		}
		head.Write(b)
	}
	if line, _, _ := strings.Cut(head.String(), "\r\n"); !strings.HasPrefix(line, "HTTP/1.1 101 ") {
		return towpath.E(towpath.KindUnavailable, "router.replace", "the running router answers %q", line)
	}
	return nil
}

func receiveFiles(conn *net.UnixConn, w will) (*estate, error) {
	e := &estate{listeners: map[handed]net.Listener{}}
	lock, err := receiveFile(conn)
	if err != nil {
		return nil, err
	}
	e.lock = lock
	control, err := receiveListener(conn)
	if err == nil {
		var ok bool
		if e.control, ok = control.(*net.UnixListener); !ok {
			err = unix.EPROTOTYPE
		}
	}
	for _, h := range w.Listeners {
		if err == nil {
			e.listeners[h], err = receiveListener(conn)
		}
	}
	if err != nil {
		delete(e.listeners, handed{})
		maps.DeleteFunc(e.listeners, func(_ handed, ln net.Listener) bool { return ln == nil })
		e.close()
		return nil, err
	}
	e.from = &predecessor{conn: conn, in: json.NewDecoder(conn), out: json.NewEncoder(conn), bequest: w.Counted}
	return e, nil
}
