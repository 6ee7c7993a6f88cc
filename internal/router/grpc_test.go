package router

import (
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// called answers as gRPC does: 200, messages, and how the call ended in the
// trailers, or with an error before any message in the header.
func called(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", r.URL.Query().Get("type"))
	status := r.URL.Query().Get("status")
	switch r.URL.Query().Get("in") {
	case "header":
		h.Set("Grpc-Status", status)
		return
	case "announced":
		h.Set("Trailer", "Grpc-Status")
		defer h.Set("Grpc-Status", status)
	case "trailer":
		defer h.Set(http.TrailerPrefix+"Grpc-Status", status)
	}
	_, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, 1})
	w.(http.Flusher).Flush()
}

// TestRouter_CountsCalls: a call that failed for want of the server is a failed
// request, although its HTTP status is 200; one that the client had wrong is not.
func TestRouter_CountsCalls(t *testing.T) {
	url, l := serveTraffic(t, route.Traffic{
		Revision: "rev_1", Weight: 1, Protocol: route.H2C, Instances: []route.Instance{handleH2C(t, called)}, Mirror: &route.Mirror{Revision: "rev_2", Percent: 100},
		Others: []route.Backend{{Revision: "rev_2", Protocol: route.H2C, Instances: []route.Instance{handleH2C(t, called)}}},
	})
	users, copies := &l.plan.Load().find("rev_1").series.client, &l.plan.Load().find("rev_2").series.mirrored
	failures := func(t *testing.T, client *http.Client, kind, in, status string) (ofUsers, ofCopies uint64) {
		t.Helper()
		before, copied := users.read().Requests, copies.read().Requests
		resp, err := client.Get(url + "?type=" + kind + "&in=" + in + "&status=" + status)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || in != "header" && len(body) != 7 {
			t.Fatalf("got %d, %d bytes, %v", resp.StatusCode, len(body), err)
		}
		if got := resp.Header.Get("Grpc-Status") + resp.Trailer.Get("Grpc-Status"); got != status {
			t.Errorf("the client was told %q", got)
		}
		awaitIdle(t, l)
		for deadline := time.Now().Add(10 * time.Second); ; {
			now, by := users.read().Requests, copies.read().Requests
			failed, ok := now[route.Class5xx]-before[route.Class5xx], now[route.Class2xx]-before[route.Class2xx]
			lost, had := by[route.Class5xx]-copied[route.Class5xx], by[route.Class2xx]-copied[route.Class2xx]
			if failed+ok == 1 && lost+had == 1 {
				return failed, lost
			}
			if time.Now().After(deadline) {
				t.Fatalf("counted %v, %v", now, by)
			}
		}
	}
	servers := map[int]bool{2: true, 4: true, 12: true, 13: true, 14: true, 15: true}
	for name, client := range map[string]*http.Client{"HTTP/2": h2c(t), "HTTP/1.1": {}} {
		for _, in := range []string{"header", "announced", "trailer"} {
			t.Run("by its status in the "+in+", over "+name, func(t *testing.T) {
				for code := range 17 {
					want := uint64(0)
					if servers[code] {
						want = 1
					}
					if got, copied := failures(t, client, "application/grpc", in, strconv.Itoa(code)); got != want || copied != want {
						t.Errorf("status %d counts as %d failures, of a copy as %d", code, got, copied)
					}
				}
			})
		}
	}
	for what, c := range map[string]struct {
		kind, in, status string
		want             uint64
	}{
		"of a certain encoding":      {"application/grpc%2Bproto", "trailer", "14", 1},
		"that has no status":         {"application/grpc", "none", "", 1},
		"of gRPC-Web":                {"application/grpc-web", "none", "", 0},
		"of anything but gRPC":       {"application/json", "trailer", "14", 0},
		"whose status is no number":  {"application/grpc", "trailer", "all-is-well", 0},
		"of a status nobody knows":   {"application/grpc", "trailer", "99", 0},
		"of a type much like gRPC's": {"application/grpcish", "trailer", "14", 0},
	} {
		t.Run("an answer "+what, func(t *testing.T) {
			if got, copied := failures(t, h2c(t), c.kind, c.in, c.status); got != c.want || copied != c.want {
				t.Errorf("counts as %d failures, of a copy as %d", got, copied)
			}
		})
	}
}
