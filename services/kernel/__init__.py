"""The mechanics under every service: it knows money and double entry, and no other word of the business."""
