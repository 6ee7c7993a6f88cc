// Package route is what the runner of the process kind and its data plane say
// to each other: a route is one address with the revisions that it sends
// requests to, and what was counted of them. It holds types only. The runner
// writes changes, the router obeys and answers with its status.
package route

import "github.com/towpath/towpath/internal/towpath"

// Route is one component's address in one environment.
type Route struct {
	Name      string     `json:"name"` // the key of the target
	Listeners []Listener `json:"listeners"`
	Traffic   Traffic    `json:"traffic"`
	// Out are the IDs of instances that get no new requests while another one of
	// their revision is in.
	Out       []string            `json:"out,omitempty"`
	Fence     int64               `json:"fence"`     // of the last change; lower ones are refused
	Operation towpath.OperationID `json:"operation"` // the last one that changed it
}

// Listener is an address that a route answers on. A port 0 in Listen is chosen
// once; Address has the real one, and keeps it.
type Listener struct {
	Listen  string `json:"listen"`  // as the component's spec says
	Address string `json:"address"` // as clients use it
}

// Instance is one process that takes requests.
type Instance struct {
	ID      string `json:"id"`
	Address string `json:"address"`
}

// Change alters one route, all of it or nothing.
type Change struct {
	Route     string              `json:"route"`
	Fence     int64               `json:"fence"`
	Operation towpath.OperationID `json:"operation"`
	Listen    []string            `json:"listen,omitempty"`  // open these, if they are not yet
	Prune     bool                `json:"prune,omitempty"`   // and close all others
	Traffic   *Traffic            `json:"traffic,omitempty"` // send requests there from now on
	Out       *[]string           `json:"out,omitempty"`     // leave these out from now on, and no others: an empty list, and not nil, when there are none
	Remove    bool                `json:"remove,omitempty"`  // close all and forget the route
}

// Status is what a router does.
type Status struct {
	PID        int           `json:"pid"`
	Build      string        `json:"build,omitempty"` // names the program's file; another one may be another version
	Generation int64         `json:"generation"`      // of its configuration; grows with each change
	Routes     []RouteStatus `json:"routes"`          // by name
}

// RouteStatus is one route and the requests that are under way.
type RouteStatus struct {
	Route
	// InFlight counts requests by revision, those of former ones included.
	InFlight map[towpath.RevisionID]int64 `json:"inFlight"`
	// Busy counts them by the instance that has them.
	Busy    map[string]int64 `json:"busy,omitempty"`
	Removed bool             `json:"removed,omitempty"` // only requests under way are left
	// Closed says of each listener that is not open why, by Listen. The router
	// goes on trying.
	Closed map[string]string `json:"closed,omitempty"`
}

// Find is the route of a name that is not removed.
func (s *Status) Find(name string) (RouteStatus, bool) {
	for _, r := range s.Routes {
		if r.Name == name && !r.Removed {
			return r, true
		}
	}
	return RouteStatus{}, false
}

// InFlight counts the requests of a route to every revision but one.
func (s *Status) InFlight(name string, but towpath.RevisionID) int64 {
	var n int64
	for _, r := range s.Routes {
		if r.Name != name {
			continue
		}
		for rev, count := range r.InFlight {
			if rev != but || r.Removed {
				n += count
			}
		}
	}
	return n
}

// InFlightTo counts the requests of a route to a revision.
func (s *Status) InFlightTo(name string, rev towpath.RevisionID) int64 {
	var n int64
	for _, r := range s.Routes {
		if r.Name == name {
			n += r.InFlight[rev]
		}
	}
	return n
}

// Busy counts the requests of a route to some instances.
func (s *Status) Busy(name string, instances []string) int64 {
	var n int64
	for _, r := range s.Routes {
		if r.Name != name {
			continue
		}
		for _, id := range instances {
			n += r.Busy[id]
		}
	}
	return n
}

// Address is the address of a listener, "" if the route has none such.
func (r *Route) Address(listen string) string {
	for _, l := range r.Listeners {
		if l.Listen == listen {
			return l.Address
		}
	}
	return ""
}
