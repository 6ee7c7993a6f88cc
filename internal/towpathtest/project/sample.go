package project

import "strings"

// sampleYAML is the sample's towpath.yaml. It waits less than the shop's, so
// that tests of bad releases end soon.
func sampleYAML(programs string) string {
	return strings.ReplaceAll(`version: 1
project: shop

components:
  api:
    kind: process
    path: api
    process:
      command: [PROGRAMS/api]
      health: {interval: 20ms, deadline: 3s}
      stopGrace: 1s
      verify:
        before:
          - name: greets
            http: {path: /, contains: from api}
            timeout: 5s
  web:
    kind: process
    path: web
    dependsOn: [api]
    process:
      command: [PROGRAMS/web]
      env:
        API_ADDRESS: ${components.api.address}
      health: {interval: 20ms, deadline: 3s}
      stopGrace: 1s
      verify:
        after:
          - name: reaches the api
            http: {path: /, contains: from api}
            timeout: 5s

environments:
  dev:
    branch: dev
    components:
      api: {env: {GREETING: hello from dev}}
  staging:
    branch: staging
    from: dev
    components:
      api: {env: {GREETING: hello from staging}}
  prod:
    branch: main
    from: staging
    promotion: manual
    gates:
      approvals: {count: 1}
    components:
      api: {env: {GREETING: hello from prod}}
`, "PROGRAMS", programs)
}
