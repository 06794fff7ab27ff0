"""Images: provisioners behind one port, the rootfs store, trust policy."""
