package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Recordings are HTTP archives (HAR 1.2), which browsers, proxies and load
// testing tools write.
const (
	maxRecording = 64 << 20 // bytes
	maxRecorded  = 100_000  // requests
)

// recorded is one request and the status that it was answered with; 0: it was
// not.
type recorded struct {
	method, target, host, body string
	header                     http.Header
	status                     int
}

// archive is what of an HTTP archive is heeded.
type archive struct {
	Log struct {
		Entries []struct {
			Request struct {
				Method  string `json:"method"`
				URL     string `json:"url"`
				Headers []struct {
					Name  string `json:"name"`
					Value string `json:"value"`
				} `json:"headers"`
				PostData struct {
					Text string `json:"text"`
				} `json:"postData"`
			} `json:"request"`
			Response struct {
				Status int `json:"status"`
			} `json:"response"`
		} `json:"entries"`
	} `json:"log"`
}

// ofTheConnection are headers that are of the connection, not of the request.
var ofTheConnection = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Host",
}

// readRecording reads the requests of some methods from an archive in a
// revision's files. What is wrong with it is said as a sentence without its full
// stop.
func readRecording(files, name string, methods []string) ([]recorded, error) {
	f, err := os.OpenInRoot(files, name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the release has no file %s", name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s can't be read", name)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxRecording+1))
	if err != nil {
		return nil, fmt.Errorf("%s can't be read", name)
	}
	if len(raw) > maxRecording {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxRecording>>20)
	}
	var in archive
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fmt.Errorf("%s is no HTTP archive (HAR): %w", name, err)
	}
	var out []recorded
	for i, e := range in.Log.Entries {
		u, err := url.Parse(e.Request.URL)
		if err != nil || e.Request.Method == "" || u.Path == "" && u.Host == "" {
			return nil, fmt.Errorf("entry %d of %s is no request", i, name)
		}
		if !slices.Contains(methods, e.Request.Method) {
			continue
		}
		r := recorded{
			method: e.Request.Method, target: u.RequestURI(), host: u.Host, header: http.Header{},
			body: e.Request.PostData.Text, status: e.Response.Status,
		}
		for _, h := range e.Request.Headers {
			if !strings.HasPrefix(h.Name, ":") && !slices.Contains(ofTheConnection, http.CanonicalHeaderKey(h.Name)) {
				r.header.Add(h.Name, h.Value)
			}
		}
		out = append(out, r)
	}
	switch {
	case len(out) == 0:
		return nil, fmt.Errorf("%s has no request by %s among its %d", name, strings.Join(methods, ", "), len(in.Log.Entries))
	case len(out) > maxRecorded:
		return nil, fmt.Errorf("%s has %d requests, and at most %d are sent", name, len(out), maxRecorded)
	}
	return out, nil
}
