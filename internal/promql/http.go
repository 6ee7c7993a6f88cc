package promql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// HTTPConfig says where a Prometheus-compatible source is: Prometheus itself,
// Thanos, Mimir, VictoriaMetrics.
type HTTPConfig struct {
	URL string // without /api/v1
	// TokenFile holds a bearer token and nothing else. It is read for every
	// query, so that it may be replaced. Empty: none is sent.
	TokenFile string
	// Username has the file's content sent as this user's password (basic
	// authentication) and not as a bearer token. It needs a TokenFile.
	Username string
	// Headers are sent with every query, such as X-Scope-OrgID, by which Mimir tells
	// tenants apart. They are no place for secrets.
	Headers map[string]string
	Client  *http.Client // default: one without redirects
	Limits  Limits
}

// HTTP is a source that is asked over HTTP.
type HTTP struct {
	cfg  HTTPConfig
	base *url.URL
}

var _ Source = (*HTTP)(nil)

// NewHTTP checks where the source is. It asks nothing yet.
func NewHTTP(cfg HTTPConfig) (*HTTP, error) {
	const op = "metrics.source"
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, towpath.E(towpath.KindInvalid, op, "the URL of the metric source is no address").
			WithHint("write the address of a Prometheus, without /api/v1: https://prometheus.example.com")
	}
	if base.User != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "the URL of the metric source has a password in it").
			WithHint("put a bearer token, or the password of a user name, into a file and name that")
	}
	if cfg.Username != "" && cfg.TokenFile == "" {
		return nil, towpath.E(towpath.KindInvalid, op, "the metric source has a user name and no password").
			WithHint("put the password into a file, and name that as the token's")
	}
	if strings.ContainsAny(cfg.Username, ":\r\n") {
		return nil, towpath.E(towpath.KindInvalid, op, "the user name for the metric source can't be sent").WithHint("it has no colon and is one line")
	}
	for name, value := range cfg.Headers {
		if err := headerFits(name, value); err != nil {
			return nil, err
		}
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	cfg.Limits = cfg.Limits.withDefaults()
	return &HTTP{cfg: cfg, base: base.JoinPath("api", "v1")}, nil
}

// headerFits takes what may be sent beside a query: none that logs in, or that says
// what the query itself is.
func headerFits(name, value string) error {
	const op = "metrics.source"
	token := name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
	if !token || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		return towpath.E(towpath.KindInvalid, op, "%q is no header that can be sent to a metric source", name).
			WithHint("a name of letters, digits and hyphens, and a value of printable characters: \"X-Scope-OrgID\": \"shop\"")
	}
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Proxy-Authorization", "Cookie":
		return towpath.E(towpath.KindInvalid, op, "the metric source has its login in a header, %s", name).
			WithHint("put the token or password into a file, and name that: it is read for every query and shown to nobody")
	case "Host", "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Accept", "Accept-Encoding", "Connection":
		return towpath.E(towpath.KindInvalid, op, "the header %s is the query's own", name).WithHint("leave it away")
	}
	return nil
}

// Query implements [Source].
func (h *HTTP) Query(ctx context.Context, query string, at time.Time) ([]towpath.MetricSample, error) {
	const op = "metrics.query"
	all, err := h.ask(ctx, op, "query", url.Values{"query": {query}, "time": {seconds(at)}})
	if err != nil {
		return nil, err
	}
	out := make([]towpath.MetricSample, 0, len(all))
	for _, s := range all {
		if len(s.Points) != 1 {
			return nil, unreadable(op, errors.New("a series of an instant query has not one value"))
		}
		out = append(out, towpath.MetricSample{Labels: s.Labels, Value: s.Points[0].Value})
	}
	return out, nil
}

// Range implements [Source].
func (h *HTTP) Range(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]Series, error) {
	return h.ask(ctx, "metrics.range", "query_range", url.Values{
		"query": {query}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
	})
}

// seconds writes a moment to the millisecond, which is what sources know.
func seconds(t time.Time) string { return fmt.Sprintf("%d.%03d", t.Unix(), t.Nanosecond()/1e6) }

func (h *HTTP) ask(ctx context.Context, op, what string, form url.Values) ([]Series, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Limits.Timeout)
	defer cancel()
	form.Set("timeout", h.cfg.Limits.Timeout.String())
	form.Set("limit", strconv.Itoa(h.cfg.Limits.Samples+1)) // newer ones stop there; others are bounded below
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.base.JoinPath(what).String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, silent(op, "can't be asked", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if h.cfg.TokenFile != "" {
		token, err := os.ReadFile(h.cfg.TokenFile)
		if err != nil {
			return nil, silent(op, "has a token file that can't be read", err)
		}
		if secret := strings.TrimSpace(string(token)); h.cfg.Username != "" {
			req.SetBasicAuth(h.cfg.Username, secret)
		} else {
			req.Header.Set("Authorization", "Bearer "+secret)
		}
	}
	for name, value := range h.cfg.Headers {
		req.Header.Set(name, value)
	}
	resp, err := h.cfg.Client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, silent(op, fmt.Sprintf("did not answer within %s", h.cfg.Limits.Timeout), err)
		}
		return nil, silent(op, "can't be reached", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, h.cfg.Limits.Bytes+1))
	switch {
	case err != nil:
		return nil, silent(op, "broke off its answer", err)
	case int64(len(body)) > h.cfg.Limits.Bytes:
		return nil, towpath.E(towpath.KindExhausted, op, "the answer is longer than %d bytes", h.cfg.Limits.Bytes).
			WithHint("let the query sum up or select less")
	}
	return h.decode(op, resp.StatusCode, body)
}

// answer is the envelope of every answer.
type answer struct {
	Status    string `json:"status"`
	ErrorType string `json:"errorType"`
	Error     string `json:"error"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

func (h *HTTP) decode(op string, status int, body []byte) ([]Series, error) {
	var a answer
	err := json.Unmarshal(body, &a)
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return nil, silent(op, fmt.Sprintf("does not let us in: it answers %d", status), nil)
	case err == nil && a.Status == "error" && (a.ErrorType == "bad_data" || a.ErrorType == "execution"):
		return nil, refused(op, a.Error)
	case err == nil && a.Status == "error":
		return nil, silent(op, "fails: "+clean(a.Error), nil)
	case status != http.StatusOK:
		return nil, silent(op, fmt.Sprintf("answers %d", status), nil)
	case err != nil || a.Status != "success":
		return nil, unreadable(op, err)
	}
	out, err := series(a.Data.ResultType, a.Data.Result)
	if err != nil {
		return nil, unreadable(op, err)
	}
	n := 0
	for _, s := range out {
		n += len(s.Points)
	}
	if n > h.cfg.Limits.Samples {
		return nil, tooLong(op, h.cfg.Limits.Samples)
	}
	return out, nil
}

func unreadable(op string, cause error) error {
	return silent(op, "answers something that is no answer of Prometheus", cause)
}

// series reads a result of any type. Native histograms have no value of their
// own and are left out; functions of PromQL make values of them.
func series(kind string, raw json.RawMessage) ([]Series, error) {
	switch kind {
	case "vector", "matrix":
		var all []struct {
			Metric map[string]string `json:"metric"`
			Value  *point            `json:"value"`
			Values []point           `json:"values"`
		}
		if err := json.Unmarshal(raw, &all); err != nil {
			return nil, err
		}
		out := make([]Series, 0, len(all))
		for _, x := range all {
			s := Series{Labels: x.Metric}
			if x.Value != nil {
				x.Values = []point{*x.Value}
			}
			for _, p := range x.Values {
				s.Points = append(s.Points, Point(p))
			}
			if len(s.Points) > 0 {
				out = append(out, s)
			}
		}
		return out, nil
	case "scalar":
		var p point
		if err := json.Unmarshal(raw, &p); err != nil {
			return nil, err
		}
		return []Series{{Points: []Point{Point(p)}}}, nil
	default:
		return nil, fmt.Errorf("a result of type %q", kind)
	}
}

// point is a value as Prometheus writes it: [seconds, "value"].
type point Point

// UnmarshalJSON reads it.
func (p *point) UnmarshalJSON(b []byte) error {
	var both [2]json.RawMessage
	var at float64
	var text string
	if err := json.Unmarshal(b, &both); err != nil {
		return err
	}
	if err := json.Unmarshal(both[0], &at); err != nil {
		return err
	}
	if err := json.Unmarshal(both[1], &text); err != nil {
		return err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return err
	}
	p.At, p.Value = time.UnixMilli(int64(math.Round(at*1000))).UTC(), v
	return nil
}
