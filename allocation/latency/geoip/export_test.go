package geoip

// Refresh looks at the files, as Run does.
func (d *Databases) Refresh() { d.refresh() }
