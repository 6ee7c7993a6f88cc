package server

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// certificate is what the server shows its clients, as its files are: whoever
// renews them restarts nothing.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu   sync.Mutex
	of   [2]stamp // what pair was read from
	told [2]stamp // what can't be used, as the log says
	pair *tls.Certificate
}

// stamp tells a file that was written again.
type stamp struct {
	at   time.Time
	size int64
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// newCertificate reads both files.
func newCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, log: log}
	if _, err := c.read(); err != nil {
		return nil, towpath.E(towpath.KindInvalid, "server.listen", "the TLS certificate can't be used").
			WithHint("--tls-cert and --tls-key are PEM files that belong together").WithCause(err)
	}
	return c, nil
}

// read takes the files as they are now, and says which those are. What can't be
// used leaves the pair before in use.
func (c *certificate) read() (now [2]stamp, err error) {
	for i, path := range []string{c.cert, c.key} {
		if now[i], err = stampOf(path); err != nil {
			return now, err
		}
	}
	if c.pair != nil && now == c.of {
		return now, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err == nil {
		c.of, c.pair = now, &pair
	}
	return now, err
}

// show is [tls.Config.GetCertificate].
func (c *certificate) show(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now, err := c.read(); err != nil && now != c.told { // once, not with every connection
		c.told = now
		c.log.Error("the TLS certificate can't be used: the one before is shown still", "certificate", c.cert, "key", c.key, "error", err)
	}
	return c.pair, nil
}
