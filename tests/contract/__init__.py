"""Each route, field and status that the documents of earlier services name, and their known faults.

`test_queue_api` is of the BLIP container, `test_instagram` of the captions for Instagram,
`test_vlm_*` of the VLM API, `test_image_*` of the image pipeline. A fifth document, of a web
application that makes pictures of captions, names no HTTP route: there is nothing to be held to.
"""
