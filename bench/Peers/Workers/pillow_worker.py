"""Pillow's side of `refconv bench images`: decodes, turns upright, resizes and cuts pictures, one process a processor.

Arguments: processes. A line of JSON in, a line of JSON out; the first line out says the versions.
"""
import json
import sys
import time
import zlib


def prepare(task):
    path, resize, size = task
    started = time.process_time()
    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image).convert("RGB")
        width, height = image.size
        shorter, longer = min(width, height), max(width, height)
        other = int(resize * longer / shorter)
        new = (resize, other) if width <= height else (other, resize)
        if new != image.size:
            image = image.resize(new, Image.BILINEAR)
        left, top = round((new[0] - size) / 2), round((new[1] - size) / 2)
        check = zlib.crc32(image.crop((left, top, left + size, top + size)).tobytes())
    except Exception:
        check = None
    return check, time.process_time() - started


try:
    import multiprocessing

    import PIL
    from PIL import Image, ImageOps, features
except ImportError as e:
    print(json.dumps({"error": str(e)}), flush=True)
    sys.exit(0)

if __name__ == "__main__":
    processes = int(sys.argv[1])
    tasks = []
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        print(json.dumps({"pillow": PIL.__version__, "jpeg": features.version("libjpeg_turbo") or "libjpeg", "processes": processes}), flush=True)
        for line in sys.stdin:
            question = json.loads(line)
            if question["do"] == "load":
                tasks = [(f, question["resize"], question["size"]) for f in question["files"]]
                print("{}", flush=True)
                continue
            started = time.perf_counter()
            results = pool.map(prepare, tasks, chunksize=max(1, len(tasks) // (8 * processes)))
            seconds = time.perf_counter() - started
            print(json.dumps({"seconds": seconds, "cpu": sum(r[1] for r in results), "checks": [r[0] for r in results]}), flush=True)
