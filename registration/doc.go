// Package registration is the registration itself: a device's request enters, the
// enrollment that decides is matched, a hub is chosen, the operation is committed,
// the device is made in the hub, and the outcome is committed. The stored row is the
// operation, so any replica can finish what another began. Transports, SQL and hub
// products are elsewhere.
package registration
