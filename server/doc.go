// Package server is the only place that wires: it reads Config, opens the store,
// starts listeners and workers, and stops them in order.
package server
