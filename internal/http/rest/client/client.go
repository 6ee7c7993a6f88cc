package client

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/loopback"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// Token is a bearer token. It redacts itself when it is printed or logged.
type Token string

// String hides the token.
func (Token) String() string { return "(token)" }

// GoString hides the token.
func (Token) GoString() string { return "(token)" }

// LogValue hides the token.
func (Token) LogValue() slog.Value { return slog.StringValue("(token)") }

// MarshalText hides the token.
func (Token) MarshalText() ([]byte, error) { return []byte("(token)"), nil }

// Config says which server to talk to. URL is required.
type Config struct {
	URL       string // "http://127.0.0.1:7171"
	Token     Token  // may be empty for what is public
	UserAgent string
	// Transport carries the requests; default: a copy of http.DefaultTransport.
	Transport http.RoundTripper
	Timeout   time.Duration // of one attempt of an ordinary call; default 1 min
	Attempts  int           // default 4
	Backoff   reconcile.Backoff
	// Quiet is how long a watch may say nothing before it is taken for dead;
	// default 45 s, three heartbeats.
	Quiet time.Duration
}

// Client calls the API of one server. It is safe for concurrent use.
type Client struct {
	cfg  Config
	base string
	http *http.Client
}

// New makes a client. It connects to nothing.
func New(cfg Config) (*Client, error) {
	u, err := ServerURL(cfg.URL, cfg.Token != "")
	if err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 4
	}
	if cfg.Backoff.Base <= 0 {
		cfg.Backoff = reconcile.Backoff{Base: 200 * time.Millisecond, Cap: 5 * time.Second}
	}
	if cfg.Quiet <= 0 {
		cfg.Quiet = 45 * time.Second
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "towpath"
	}
	if cfg.Transport == nil {
		cfg.Transport = transport()
	}
	return &Client{cfg: cfg, base: strings.TrimSuffix(u.String(), "/"), http: &http.Client{
		Transport: cfg.Transport, CheckRedirect: NoRedirects,
	}}, nil
}

// ServerURL reads the address of a server. One that would have a token sent in
// clear text to another machine is invalid.
func ServerURL(address string, withToken bool) (*url.URL, error) {
	const op = "client.url"
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" {
		return nil, towpath.E(towpath.KindInvalid, op, "the server's URL is not valid").
			WithHint("it reads http://127.0.0.1:7171 or https://towpath.example.com, without user name and query")
	}
	if u.Scheme == "http" && !loopback.Host(u.Host) && withToken {
		return nil, towpath.E(towpath.KindInvalid, op, "a token is not sent without TLS to another machine").
			On(u.Host).WithHint("use the server's https:// address")
	}
	return u, nil
}

// NoRedirects is for clients with a token: a redirect would carry it to wherever
// that points.
func NoRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// URL is the server's address.
func (c *Client) URL() string { return c.base }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func transport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.DisableCompression = true
	return t
}
