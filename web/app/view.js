// Which part of a picture the model is fed, and how it is cut into patches, from vit.info.input.

export function viewOf({ height, width, patch: [patch], grid: [rows, columns], crop, cropPct }) {
    return {
        rows, columns, patch,
        // Picture size to the area seen, in its pixels. squash: all of it; border: all of it and a margin;
        // center: what is left after the resize to size / cropPct.
        seen(pictureWidth, pictureHeight) {
            if (crop === 'squash') return { left: 0, top: 0, width: pictureWidth, height: pictureHeight };
            const scales = crop === 'border' ? [width / pictureWidth, height / pictureHeight]
                : [Math.floor(width / cropPct) / pictureWidth, Math.floor(height / cropPct) / pictureHeight];
            const scale = crop === 'border' ? Math.min(...scales) : Math.max(...scales);
            const area = { width: width / scale, height: height / scale };
            return { left: (pictureWidth - area.width) / 2, top: (pictureHeight - area.height) / 2, ...area };
        },
    };
}
